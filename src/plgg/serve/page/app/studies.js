/** Studies of a PACS: looked for, and opened as cases. What is listed is kept nowhere. */

import { findStudies, openStudy } from "./api.js";
import { fill, h, notify, notifyError } from "./dom.js";

/**
 * A panel with a search.
 * @param {(id: string, job: object) => void} onFetching a study is being fetched as this case
 */
export function studiesPanel(onFetching) {
  const patient = h("input", { type: "search", maxlength: 64, placeholder: "Patient ID, * for any letters", "aria-label": "Patient ID" });
  const description = h("input", { type: "search", maxlength: 64, placeholder: "Description", "aria-label": "Description" });
  const date = h("input", { type: "date", "aria-label": "Date of the study" });
  const search = h("button", { type: "submit" }, "Search");
  const found = h("div.found", { role: "status" });
  const look = async (event) => {
    event.preventDefault();
    search.disabled = true;
    try {
      show(found, await findStudies(asked(patient, description, date)), onFetching);
    } catch (error) {
      notifyError(error);
    } finally {
      search.disabled = false;
    }
  };
  return h("details.pacs", {}, h("summary", {}, "From the PACS"),
    h("form", { onsubmit: look }, patient, description, date, search), found);
}

function asked(patient, description, date) {
  const query = { patient: patient.value.trim(), description: description.value.trim(), date: date.value.replaceAll("-", "") };
  return Object.fromEntries(Object.entries(query).filter(([, value]) => value));
}

function show(found, studies, onFetching) {
  if (!studies.length) {
    fill(found, h("p", {}, "The PACS has no such study."));
    return;
  }
  const heads = ["Date", "Patient", "Name", "Description", "Series", ""];
  fill(found, h("table", {}, h("caption.hidden", {}, "Studies on the PACS"),
    h("thead", {}, h("tr", {}, heads.map((title) => h("th", { scope: "col" }, title)))),
    h("tbody", {}, studies.map((study) => row(study, onFetching)))));
}

function row(study, onFetching) {
  const said = study.series.map((one) => `${one.modality} ${one.description}`.trim()).join("; ");
  return h("tr", { "data-study": study.uid }, h("td", {}, day(study.date)), h("td", {}, study.patient_id),
    h("td", {}, study.patient_name.replaceAll("^", " ")), h("td", {}, study.description), h("td", {}, said),
    h("td", {}, study.case ? caseLink(study.case) : openButton(study, onFetching)));
}

const day = (text) => text.replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
const caseLink = (id) => h("a", { href: `#/case/${encodeURIComponent(id)}` }, "Look at it");

function openButton(study, onFetching) {
  const button = h("button", { type: "button", "data-action": "open-study", onclick: async () => {
    button.disabled = true;
    try {
      const { id, case: there, job } = await openStudy(study.uid);
      if (there) location.hash = `#/case/${encodeURIComponent(id)}`;
      else {
        notify(`${id} is being fetched.`);
        onFetching(id, job);
      }
    } catch (error) {
      button.disabled = false;
      notifyError(error);
    }
  } }, "Open");
  return button;
}
