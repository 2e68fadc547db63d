/** Uploading scans: files, folders and archives, dropped or chosen, with how far they have come. */

import { upload } from "./api.js";
import { h, notify, notifyError } from "./dom.js";
import { percent } from "./format.js";

const SCAN = /\.(nii|nii\.gz|zip)$/i;

/**
 * A place to drop scans on.
 * @param {(answer: {case: object, job: object}) => void} onAccepted
 */
export function uploadArea(onAccepted) {
  // The buttons open them: whoever goes by keyboard or listens meets each once.
  const behind = { class: "hidden", tabindex: -1, "aria-hidden": "true" };
  const files = h("input", { type: "file", multiple: true, ...behind, "aria-label": "Choose scans" });
  const folder = h("input", { type: "file", webkitdirectory: true, ...behind, "aria-label": "Choose a DICOM folder" });
  const age = h("input", { type: "number", min: 0, max: 149, step: 0.1, placeholder: "years" });
  const sex = h("select", {}, h("option", { value: "" }, "not said"), h("option", { value: "F" }, "female"), h("option", { value: "M" }, "male"));
  const sending = h("ul.sending", { "aria-label": "Uploads" });
  const send = (entries) => sendAll(entries, { age, sex }, sending, onAccepted);
  for (const input of [files, folder]) {
    input.addEventListener("change", () => {
      send([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file })));
      input.value = "";
    });
  }
  const area = h("section.drop", { "aria-label": "Upload a scan" },
    h("p", {}, h("strong", {}, "Drop a scan here"), " – NIfTI, a zip, or a DICOM folder. It stays on this server."),
    h("div.fields", {},
      h("button", { type: "button", onclick: () => files.click() }, "Choose files"),
      h("button", { type: "button", onclick: () => folder.click() }, "Choose a folder"),
      h("label", {}, "Age ", age), h("label", {}, "Sex ", sex)),
    files, folder, sending);
  takeDrops(area, send);
  return area;
}

/** The whole window takes drops: a near miss must not make the browser leave the page. */
function takeDrops(area, send) {
  const over = (event) => { event.preventDefault(); area.classList.add("over"); };
  const out = () => area.classList.remove("over");
  const drop = async (event) => {
    event.preventDefault();
    out();
    if (area.isConnected) send(await droppedFiles(event.dataTransfer));
  };
  const listeners = { dragover: over, dragleave: out, drop };
  for (const [type, listener] of Object.entries(listeners)) addEventListener(type, listener);
  area.stop = () => Object.entries(listeners).forEach(([type, listener]) => removeEventListener(type, listener));
}

/** Files with their paths, those of folders included. */
async function droppedFiles(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ name: file.name, file }));
  return (await Promise.all(entries.map((entry) => filesOf(entry)))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ name: entry.fullPath.replace(/^\//, ""), file }];
  }
  const reader = entry.createReader();
  const found = [];
  // A reader gives a hundred entries at a time, and an empty list at the end.
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(filesOf))).flat();
}

/** Each NIfTI file and archive is a case of its own; everything else together is one DICOM series. */
function asScans(entries) {
  const visible = entries.filter(({ name }) => !name.split("/").at(-1).startsWith("."));
  const single = visible.filter(({ name }) => SCAN.test(name)).map((entry) => [entry]);
  const dicom = visible.filter(({ name }) => !SCAN.test(name));
  return dicom.length ? [...single, dicom] : single;
}

async function sendAll(entries, { age, sex }, list, onAccepted) {
  const scans = asScans(entries);
  if (!scans.length) notify("There was no scan among these files.", { kind: "error" });
  for (const scan of scans) {
    await sendOne(scan, { age: age.value, sex: sex.value }, list, onAccepted);
  }
  if (scans.length) [age.value, sex.value] = ["", ""];
}

async function sendOne(scan, fields, list, onAccepted) {
  const name = scan.length === 1 ? scan[0].name : `${scan[0].name.split("/")[0]} (${scan.length} files)`;
  const bar = h("progress", { max: 1, value: 0, "aria-label": `Upload of ${name}` });
  const text = h("span.share", {}, "0 %");
  const row = h("li", {}, h("span.name", {}, name), bar, text);
  list.append(row);
  try {
    onAccepted(await upload(scan, fields, (share) => { bar.value = share; text.textContent = percent(share); }));
  } catch (error) {
    notifyError(error);
  } finally {
    row.remove();
  }
}
