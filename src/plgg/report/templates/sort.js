// Sort a table by the column whose heading is clicked; blanks stay last.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const headings = [...[...table.tHead.rows].at(-1).cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button").addEventListener("click", () => {
      const down = heading.getAttribute("aria-sort") === "ascending";
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].textContent.trim();
      const compare = (a, b) => (a - b) || a.localeCompare(b, "en", { numeric: true });
      const rows = [...body.rows].sort((first, second) => {
        const a = key(first);
        const b = key(second);
        if (!a || !b) return !a - !b;
        return down ? compare(b, a) : compare(a, b);
      });
      body.append(...rows);
    });
  });
}
