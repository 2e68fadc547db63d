/** Elements without markup: text is only ever set as text, so a case's name cannot become a script. */

/**
 * An element with its attributes and children.
 * @param {string} tag e.g. "button.primary"
 * @param {object} attributes `on…` are listeners; true sets, false and null leave out
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) setAttribute(element, key, value);
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function setAttribute(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else element.setAttribute(key, value === true ? "" : value);
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (selector, root = document) => root.querySelector(selector);

/** Say something to who looks, and to who listens; an error stays until it is dismissed. */
export function notify(message, { kind = "info", seconds = 5 } = {}) {
  const close = h("button.quiet", { type: "button", "aria-label": "Dismiss", onclick: () => note.remove() }, "×");
  const note = h(`div.note.${kind}`, { role: kind === "error" ? "alert" : "status" }, h("span", {}, message), close);
  $("#notes").append(note);
  if (kind !== "error") setTimeout(() => note.remove(), seconds * 1000);
}

/** An error with its remedy, as the server gave them. */
export function notifyError(error) {
  notify([error.message.replace(/\.?$/, "."), error.remedy].filter(Boolean).join(" "), { kind: "error" });
}

/**
 * Ask by a dialog; the value of the button that was chosen, or "" where it was closed.
 * @param {{title: string, body: Node|string, choices: [string, string][]}} options the first is the safe one
 */
export function ask({ title, body, choices }) {
  return new Promise((resolve) => {
    const buttons = choices.map(([value, label], n) =>
      h(n ? "button" : "button.primary", { value, autofocus: n === 0 }, label));
    const dialog = h("dialog", { "aria-label": title },
      h("form", { method: "dialog" }, h("h2", {}, title), h("div.body", {}, body), h("div.choices", {}, buttons)));
    dialog.addEventListener("close", () => { dialog.remove(); resolve(dialog.returnValue); });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Offer bytes as a file. @param {Blob} blob */
export function download(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
