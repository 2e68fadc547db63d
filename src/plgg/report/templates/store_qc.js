// Show the rows of one status that hold the words sought; and pictures small or large.
{
  const table = document.querySelector("table.qc");
  const tools = document.querySelector(".tools");
  const search = tools.querySelector("input");
  const buttons = [...tools.querySelectorAll("[data-show]")];
  const larger = tools.querySelector(".larger");
  const texts = new Map([...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]));
  let status = "";
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let n = 0;
    for (const [row, text] of texts) {
      const fits = (!status || row.dataset.status === status) && words.every((word) => text.includes(word));
      row.hidden = !fits;
      n += fits;
    }
    tools.querySelector(".shown").textContent = `${n} of ${texts.size} shown`;
  };
  for (const button of buttons) {
    button.addEventListener("click", () => {
      status = button.dataset.show;
      buttons.forEach((other) => other.setAttribute("aria-pressed", other === button));
      show();
    });
  }
  larger.addEventListener("click", () => {
    larger.setAttribute("aria-pressed", table.classList.toggle("large"));
  });
  search.addEventListener("input", show);
  tools.hidden = false;
  show();
}
