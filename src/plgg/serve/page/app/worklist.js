/** The work list: every case with what is known of it, sortable, with its thumbnail. */

import * as api from "./api.js";
import { $, fill, h, notify, notifyError } from "./dom.js";
import { between, checkName, ml, percent, when } from "./format.js";
import { describe, follow, hasEnded, share } from "./jobs.js";
import * as preferences from "./preferences.js";
import { studiesPanel } from "./studies.js";
import { uploadArea } from "./upload.js";

export const STRATEGIES = [
  ["entropy", "least certain"], ["agreement", "networks disagree most"],
  ["out-of-distribution", "least like the training scans"], ["random", "any"],
];
const COLUMNS = [
  { key: "id", title: "Case", value: (c) => c.id.toLowerCase() },
  { key: "verdict", title: "Scan", value: (c) => worst(c) },
  { key: "volume", title: "Volume", value: (c) => c.volume_ml ?? -1, numeric: true },
  { key: "marker", title: "Marker", value: (c) => c.marker?.label ?? "~" },
  { key: "certainty", title: "Certainty", value: (c) => c.certainty ?? -1, numeric: true,
    about: "How sure the model is of its outline (1 minus the mean entropy), not how right it is" },
  { key: "edited", title: "Corrected", value: (c) => c.n_edits },
  { key: "created", title: "Received", value: (c) => c.created ?? "" },
];
const RANK = { failed: 2, doubtful: 1, good: 0 };
const STATES = { refused: "Refused", failed: "Failed", queued: "Waiting", running: "Working" };

export async function openWorkList(main, { info, refresh }) {
  const list = new WorkList(main, info, refresh);
  await list.load();
  return { close: () => list.close() };
}

class WorkList {
  constructor(main, info, refresh) {
    this.refresh = refresh;
    this.jobs = new Map();
    this.stops = [];
    this.upload = uploadArea((answer) => this.#accepted(answer));
    this.filter = h("input", { type: "search", placeholder: "Find a case", "aria-label": "Find a case", oninput: () => this.draw() });
    this.body = h("tbody");
    this.head = h("tr");
    this.table = h("div.table", {}, h("table", {}, h("caption.hidden", {}, "Cases"), h("thead", {}, this.head), this.body));
    this.count = h("p.count", { role: "status" });
    fill(main, h("div.list", {},
      h("div.bar", {}, h("h1", {}, "Work list"), this.count, this.filter, nextControls()),
      this.upload,
      info.pacs && studiesPanel((id, job) => this.#fetching(id, job)),
      this.table));
  }

  close() {
    this.closed = true;
    this.upload.stop();
    this.stops.forEach((stop) => stop());
  }

  async load() {
    const [cases, jobs] = await Promise.all([api.listCases(), api.listJobs()]);
    this.cases = cases;
    for (const job of jobs) if (job.kind === "predict" && job.case && !hasEnded(job)) this.#follow(job.case, job.id, job);
    this.draw();
  }

  draw() {
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = sorted(this.cases.filter((c) => c.id.toLowerCase().includes(wanted)));
    const focus = this.#focused();
    fill(this.head, h("th", { scope: "col" }, h("span.hidden", {}, "Image")), COLUMNS.map((column) => this.#heading(column)));
    fill(this.body, shown.map((c) => this.#row(c)));
    if (!shown.length) fill(this.body, h("tr", {}, h("td.empty", { colspan: COLUMNS.length + 1 }, wanted ? "No case has that name." : "No case yet: upload a scan.")));
    const corrected = this.cases.filter((c) => c.edited).length;
    this.count.textContent = `${this.cases.length} cases, ${corrected} corrected`;
    if (focus) $(focus, this.table)?.focus();
  }

  /** Where the keyboard is in the table, as a selector: jobs draw it anew at any time. */
  #focused() {
    const at = document.activeElement;
    if (!this.table.contains(at)) return null;
    if (at.dataset.sort) return `[data-sort="${at.dataset.sort}"]`;
    const row = at.closest("tr[data-case]");
    return row && `tr[data-case="${CSS.escape(row.dataset.case)}"] ${at.tagName}`;
  }

  #heading({ key, title, numeric, about = null }) {
    const { key: by, down } = preferences.get("sort");
    const here = key === by;
    const sort = () => {
      preferences.set("sort", { key, down: here ? !down : numeric || key === "created" });
      this.draw();
      $(`[data-sort="${key}"]`, this.head).focus();
    };
    return h(numeric ? "th.number" : "th", { scope: "col", "aria-sort": here ? (down ? "descending" : "ascending") : "none" },
      h("button.sort", { type: "button", title: about, "data-sort": key, onclick: sort }, title, h("span", { "aria-hidden": "true" }, here ? (down ? " ↓" : " ↑") : "")));
  }

  #row(c) {
    const open = () => { location.hash = `#/case/${encodeURIComponent(c.id)}`; };
    const isDone = c.state === "done";
    const name = isDone ? h("a", { href: `#/case/${encodeURIComponent(c.id)}` }, c.id) : c.id;
    const picture = isDone ? h("img", { src: `${c.thumbnail}?v=${encodeURIComponent(c.etag ?? "")}`, alt: "", loading: "lazy", width: 64, height: 64 }) : h("div.blank");
    return h(isDone ? "tr.open" : "tr", { "data-case": c.id, "data-state": c.state, onclick: (event) => isDone && !event.target.closest("a, button") && open() },
      h("td.thumb", {}, picture), h("th", { scope: "row" }, name), h("td.verdicts", {}, this.#state(c)),
      h("td.number", {}, volume(c)), h("td", {}, marker(c)), h("td.number", {}, certainty(c)),
      h("td", {}, c.edited ? h("span.tag.good", {}, c.n_edits > 1 ? `${c.n_edits} times` : "yes") : isDone ? "no" : ""),
      h("td.time", {}, when(c.created)));
  }

  #state(c) {
    const job = this.jobs.get(c.id);
    if (job && !hasEnded(job)) return jobProgress(job);
    if (c.state !== "done") return [h(`span.tag.${c.state === "refused" ? "doubtful" : "failed"}`, {}, STATES[c.state]), c.error && h("p.why", {}, c.error)];
    return verdictTags(c.verdicts);
  }

  #accepted({ case: { id }, job }) {
    notify(`${id} has been received.`);
    this.load().then(() => this.#follow(id, job.id, job), notifyError);
    this.refresh().catch(notifyError);
  }

  /** A study is being fetched: there is no case of it before it is here. */
  #fetching(id, job) {
    this.#follow(id, job.id, job);
    this.refresh().catch(notifyError);
  }

  #follow(caseId, jobId, state = null) {
    if (state) this.jobs.set(caseId, state);
    this.stops.push(follow(jobId, (job) => {
      this.jobs.set(caseId, job);
      if (this.closed) return;
      if (!hasEnded(job)) return this.#redraw(caseId) || this.#appeared(caseId);
      if (job.state === "done") notify(`${caseId} is ready.`);
      else if (job.error && !this.cases.some((c) => c.id === caseId)) notify(`${caseId}: ${job.error}`, { kind: "error" });
      this.load().catch(notifyError);
      this.refresh().catch(notifyError);
    }));
  }

  #redraw(caseId) {
    const c = this.cases.find((one) => one.id === caseId);
    const row = [...this.body.children].find((one) => one.dataset.case === caseId);
    if (c && row) fill($(".verdicts", row), this.#state(c));
    return Boolean(row);
  }

  /** A study that is being fetched becomes a case while its job goes on. */
  #appeared(caseId) {
    if (this.looked === caseId || this.jobs.get(caseId)?.progress?.label === "fetching from the PACS") return;
    this.looked = caseId;
    this.load().catch(notifyError);
  }
}

function jobProgress(job) {
  const cancel = (event) => {
    event.stopPropagation();
    api.cancelJob(job.id).catch(notifyError);
  };
  return h("div.job", {}, h("span", {}, describe(job)), h("progress", { max: 1, ...(share(job) !== null && { value: share(job) }), "aria-label": describe(job) }),
    h("button.quiet", { type: "button", onclick: cancel }, "Cancel"));
}

/** One tag where all is well, otherwise one for each doubt. */
export function verdictTags(verdicts = []) {
  const doubts = verdicts.filter((v) => v.verdict !== "good");
  if (!doubts.length) return h("span.tag.good", {}, "good");
  return doubts.map((v) => h(`span.tag.${v.verdict}`, { title: v.message }, checkName(v.name)));
}

const worst = (c) => c.state !== "done" ? 3 : Math.max(0, ...c.verdicts.map((v) => RANK[v.verdict] ?? 1));

function volume(c) {
  return [ml(c.volume_ml), c.volume_interval_ml && h("small", {}, between(c.volume_interval_ml))];
}

/** The marker's name, or that it is withheld: probabilities that are not relied on are not shown. */
export function marker(c) {
  if (!c.marker) return "–";
  if (c.marker.abstains || !c.marker.label) return h("span.muted", {}, "withheld");
  return [c.marker.label, h("small", {}, percent(c.marker.probabilities?.[c.marker.label]))];
}

function certainty(c) {
  if (c.certainty === null || c.certainty === undefined) return "–";
  return [percent(c.certainty), h("meter", { min: 0, max: 1, value: c.certainty, "aria-hidden": "true" })];
}

function sorted(cases) {
  const { key, down } = preferences.get("sort");
  const { value } = COLUMNS.find((column) => column.key === key) ?? COLUMNS[0];
  const order = (a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.id.localeCompare(b.id));
  return [...cases].sort(down ? (a, b) => order(b, a) : order);
}

/** Ask the server which case teaches most, and go there. */
export async function goToNext() {
  const open = decodeURIComponent(location.hash.match(/^#\/case\/(.+)$/)?.[1] ?? "");
  const { case: id } = await api.nextCase(preferences.get("strategy"), open);
  if (id && id === open) notify("This is the only case that is not corrected yet.");
  else if (id) location.hash = `#/case/${encodeURIComponent(id)}`;
  else notify("Every case has been corrected.");
}

/** The button for the next case, and by what it is chosen. */
export function nextControls() {
  const choice = h("select", { "aria-label": "Next case by", onchange: () => preferences.set("strategy", choice.value) },
    STRATEGIES.map(([value, label]) => h("option", { value, selected: value === preferences.get("strategy") }, label)));
  const go = h("button.primary", { type: "button", "data-action": "next", onclick: () => goToNext().catch(notifyError) }, "Next case");
  return h("div.next", {}, h("span.muted", {}, "by"), choice, go);
}
