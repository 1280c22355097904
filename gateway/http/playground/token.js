// The token of who looks at the page, where the server asks for one: kept for this tab alone.

import { by } from "./elements.js";

const KEY = "csm-token";
let known = "";
try {
  known = sessionStorage.getItem(KEY) ?? "";
} catch { /* a browser that keeps nothing */ }

/** The token; empty where none was given. */
export const token = () => known;

/** Whether the field for it is shown. */
export const asksForToken = () => !by("token").hidden;

/** Shows the field: the server knows no token, or not this one. */
export function askForToken() {
  if (asksForToken()) return;
  by("token").hidden = false;
  by("token-value").value = "";
  by("token-value").focus();
}

/** Calls `begin` with each token that is given. */
export function onToken(begin) {
  by("token").addEventListener("submit", (event) => {
    event.preventDefault();
    known = by("token-value").value.trim();
    try {
      sessionStorage.setItem(KEY, known);
    } catch { /* it holds until the page is left */ }
    by("token").hidden = true;
    begin();
  });
}
