/** The server's API. Every refusal becomes an `ApiError` with the server's message and remedy. */

const PREFIX = "/api/v1";
// The server takes no longer time at one mask for true.
const LONGEST_MINUTES = 1440;

export class ApiError extends Error {
  constructor(status, body) {
    const { message, where } = body?.error ?? {};
    super(message ? [where, message].filter(Boolean).join(": ") : `The server answered with status ${status}.`);
    this.status = status;
    this.remedy = body?.error?.remedy ?? "";
    this.etag = body?.etag ?? null;
  }
}

/** Ask, and read the answer's JSON. */
export async function ask(path, { method = "GET", json, body, headers = {} } = {}) {
  if (json !== undefined) [body, headers] = [JSON.stringify(json), { ...headers, "Content-Type": "application/json" }];
  const answer = await fetch(PREFIX + path, { method, body, headers, credentials: "same-origin" });
  const read = await readJson(answer);
  if (!answer.ok) throw new ApiError(answer.status, read);
  return read;
}

async function readJson(answer) {
  return answer.json().catch(() => null);
}

export const url = (path) => PREFIX + path;
export const login = (token) => ask("/login", { method: "POST", json: { token } });
export const info = () => ask("/info");
export const listCases = async () => (await ask("/cases")).cases;
export const getCase = (id) => ask(`/cases/${encodeURIComponent(id)}`);
/** The case that teaches most; the one that is open comes last. */
export const nextCase = (strategy, open = "") =>
  ask(`/next?${new URLSearchParams({ strategy, ...(open && { skip: open }) })}`, { method: "POST" });
export const listRounds = async () => (await ask("/rounds")).rounds;
export const startRound = () => ask("/rounds", { method: "POST", json: {} });
export const getJob = (id) => ask(`/jobs/${encodeURIComponent(id)}`);
export const listJobs = async () => (await ask("/jobs")).jobs;
export const cancelJob = (id) => ask(`/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });

/** Studies of the PACS. @param {object} query patient, date, description, modality */
export const findStudies = async (query) => (await ask(`/studies?${new URLSearchParams(query)}`)).studies;
export const openStudy = (uid) => ask(`/studies/${encodeURIComponent(uid)}`, { method: "POST" });

/** Send the objects of a mask to the PACS. @param {number} edit 0 is the model's mask */
export const pushCase = (id, edit, user) =>
  ask(`/cases/${encodeURIComponent(id)}/push`, { method: "POST", json: { edit }, headers: userHeader(user) });

/** Who asks; a header holds Latin letters only. */
function userHeader(user) {
  return user ? { "X-Plgg-User": /^[\x20-\x7e]*$/.test(user) ? user : encodeURIComponent(user) } : {};
}

/** A case's file as bytes, and its ETag. @param {string} kind volume, mask, probability or uncertainty */
export async function getFile(id, kind, edit = null) {
  const query = edit === null ? "" : `?edit=${edit}`;
  const path = `${PREFIX}/cases/${encodeURIComponent(id)}/${kind}.nii.gz${query}`;
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-cache" });
  if (!answer.ok) throw new ApiError(answer.status, await readJson(answer));
  return { bytes: await answer.arrayBuffer(), etag: answer.headers.get("ETag") };
}

/** Save a corrected mask upon the one it was drawn on. @param {Blob} file packed NIfTI */
export function putMask(id, file, { etag, minutes, user }) {
  const headers = {
    "Content-Type": "application/gzip", "If-Match": etag, "X-Plgg-Minutes": Math.min(minutes, LONGEST_MINUTES).toFixed(2),
    ...userHeader(user),
  };
  return ask(`/cases/${encodeURIComponent(id)}/mask`, { method: "PUT", body: file, headers });
}

/**
 * Upload a scan, telling how far it has come; `fetch` cannot tell.
 * @param {{name: string, file: File}[]} files @param {object} fields id, age, sex
 */
export function upload(files, fields, onProgress) {
  const form = new FormData();
  for (const [key, value] of Object.entries(fields)) if (value) form.append(key, value);
  for (const { name, file } of files) form.append("files", file, name);
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `${PREFIX}/cases`);
    request.responseType = "json";
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onerror = () => reject(new ApiError(0, { error: { message: "The upload broke off.", remedy: "Try it again." } }));
    request.onload = () => (request.status < 300 ? resolve(request.response)
      : reject(new ApiError(request.status, request.response)));
    request.send(form);
  });
}
