// The server's HTTP, at addresses relative to the page: it may be served below any path.

import { askForToken, token } from "./token.js";

export const address = (path) => new URL(path, document.baseURI);

/** What a request answers, as JSON. Throws an Error with the server's own words. */
export async function call(path, options = {}) {
  const { json, ...rest } = options;
  if (json !== undefined) {
    rest.method = "POST";
    rest.headers = { "content-type": "application/json" };
    rest.body = JSON.stringify(json);
  }
  const known = token();
  if (known) rest.headers = { ...rest.headers, authorization: `Bearer ${known}` };
  let answer;
  try {
    answer = await fetch(address(path), rest);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  }
  const told = await answer.json().catch(() => null);
  if (answer.status === 401) askForToken();
  if (!answer.ok) throw new Error(told?.error?.message ?? `The server answers ${answer.status}.`);
  return told;
}
