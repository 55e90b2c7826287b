// Elements and words: how numbers, formulas and times are written.

export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function formula(text) {
  return text.split(/(\d+)/).map((part, index) => (index % 2 ? h("sub", {}, part) : part));
}

export const percent = (value) => (value === null || value === undefined ? "-" : `${(100 * value).toFixed(1)} %`);

export function number(value, digits = 3) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  return value.toFixed(digits);
}

export const signed = (value, digits = 3) => (value > 0 ? "+" : "") + number(value, digits);

export function compact(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1).replace("+", "").replace(".0e", "e");
  return String(Number(value.toPrecision(4)));
}

export function duration(seconds) {
  const minutes = Math.floor(seconds / 60);
  if (minutes >= 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return minutes ? `${minutes} min ${Math.round(seconds % 60)} s` : `${Math.round(seconds)} s`;
}

const STATES = {
  QUEUED: "waiting for its turn",
  EVALUATING_BASE: "evaluating the base policy",
  RUNNING: "training",
  EVALUATING_TUNED: "evaluating the tuned policy",
  REPORTING: "writing the report",
  WAITING: "waiting for a service",
  SUCCEEDED: "finished",
  FAILED: "failed",
  STOPPED: "stopped",
  INTERRUPTED: "interrupted",
};

export const stateWords = (state) => STATES[state] ?? state.toLowerCase();

export function say(words) {
  document.getElementById("said").textContent = words;
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export async function get(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 401) {
    location.assign("/login");
    throw new Refused(401, "sign in");
  }
  const document = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Refused(answer.status, document.error);
  return document;
}

export const query = (fields) => new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== "" && value !== false)).toString();
