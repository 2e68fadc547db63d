/** The page: logs in, shows the view that the address names, and keeps the header up to date. */

import * as api from "./api.js";
import { openCase } from "./case.js";
import { $, fill, h, notifyError } from "./dom.js";
import { openHelp } from "./help.js";
import { openRounds } from "./rounds.js";
import { openWorkList } from "./worklist.js";

const VIEWS = { cases: openWorkList, case: openCase, rounds: openRounds };
let current = { close: () => {}, mayLeave: async () => true };
let shownAt = null;

/** Trade the token of the link for a cookie, and take it out of the address. */
async function logIn() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", "#/cases");
  await api.login(token);
}

async function showHeader() {
  const info = await api.info();
  const rounds = info.round ? ` · round ${info.round}` : "";
  const busy = info.queue.running + info.queue.queued;
  fill($("#model"), h("span", {}, `${info.model.name}${rounds}`), busy > 0 && h("span.busy", {}, `${busy} in the queue`));
  $("#model").title = info.model.about ?? "";
  if (info.research_only) $("#warning").textContent = info.research_only;
  return info;
}

/** Show what the address names, unless the view that is open has something to lose. */
async function route() {
  if (location.hash === shownAt) return;
  if (!(await current.mayLeave())) {
    history.replaceState(null, "", shownAt);
    return;
  }
  shownAt = location.hash || "#/cases";
  const [name, id] = shownAt.replace(/^#\//, "").split("/").map(decodeURIComponent);
  const open = VIEWS[name] ?? VIEWS.cases;
  current.close();
  mark(name);
  await show(open, id);
}

async function show(open, id) {
  const main = fill($("#main"), h("p.loading", {}, "Loading …"));
  current = { close: () => {}, mayLeave: async () => true };
  try {
    const info = await showHeader();
    current = { ...current, ...(await open(main, { id, info, refresh: showHeader })) };
  } catch (error) {
    showFailure(main, error);
  }
  main.focus({ preventScroll: true });
}

function showFailure(main, error) {
  const remedy = error.status === 401 ? "Open the link that plgg serve has printed: it holds the token." : error.remedy;
  fill(main, h("section.failure", {}, h("h1", {}, "This did not work"), h("p", {}, error.message), h("p", {}, remedy),
    h("p", {}, h("a.button", { href: "#/cases", onclick: () => { shownAt = null; route(); } }, "Back to the work list"))));
}

function mark(name) {
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.page === name || (name === "case" && link.dataset.page === "cases");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function begin() {
  try {
    await logIn();
  } catch (error) {
    notifyError(error);
  }
  addEventListener("hashchange", route);
  addEventListener("beforeunload", (event) => { if (current.unsaved?.()) event.preventDefault(); });
  addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.target.closest("input, select, textarea, dialog")) openHelp();
  });
  $("#help").addEventListener("click", openHelp);
  await route();
}

begin();
