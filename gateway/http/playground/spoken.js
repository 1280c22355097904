// Under the text: how it will be read aloud, and what the server has to say of it.

import { call } from "./api.js";
import { by, make } from "./elements.js";

const PAUSE_MS = 250; // of typing, before the server is asked
let timer = 0;
let asking = null;

/** Shows nothing. */
export function clearSpoken() {
  clearTimeout(timer);
  asking?.abort();
  by("spoken").replaceChildren();
}

/** Asks for the spoken form of a text that is being written. */
export function prepareSoon(text, voice) {
  clearTimeout(timer);
  asking?.abort();
  if (!text.trim()) return clearSpoken();
  timer = setTimeout(() => prepare(text, voice), PAUSE_MS);
}

async function prepare(text, voice) {
  asking = new AbortController();
  try {
    const told = await call("v1/text/prepare", { json: { input: text, voice }, signal: asking.signal });
    const form = told.spoken_form === text.trim().replace(/\s+/g, " ") ? "" : told.spoken_form;
    show(form, told.warnings, text);
  } catch (error) {
    if (error.name !== "AbortError") show("", [{ description: error.message }], text);
  }
}

/** Shows what a turn's terminal says of its text. */
export function showWarnings(warnings, text) {
  show("", warnings, text);
}

function show(form, warnings, text) {
  const parts = [];
  if (form) parts.push(make("p", {}, make("span", { className: "label" }, "Spoken as"), form));
  if (warnings.length) {
    parts.push(make("ul", { className: "warnings" }, ...warnings.map((one) => {
      // Places are counted in characters, which a string of JavaScript is not made of.
      const place = [...text].slice(one.first_char, one.end_char).join("").trim();
      const quoted = place && place.length < 60 ? [make("q", {}, place), " "] : [];
      return make("li", {}, ...quoted, one.description);
    })));
  }
  by("spoken").replaceChildren(...parts);
}
