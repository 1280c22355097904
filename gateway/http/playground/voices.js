// Which voices there are, and which one speaks.

import { call } from "./api.js";
import { by, make } from "./elements.js";

let voices = [];

/** The name of the voice that is chosen. */
export const chosenVoice = () => by("voice").value;

/** Reads the voices again, and chooses `wanted`, else the one chosen before, else the default. */
export async function loadVoices(wanted = chosenVoice()) {
  const told = await call("v1/audio/voices");
  voices = told.voices;
  const select = by("voice");
  select.replaceChildren(...voices.map((voice) => make(
    "option", { value: voice.name, title: voice.description }, voice.name,
  )));
  const known = voices.some((voice) => voice.name === wanted);
  select.value = known ? wanted : told.default_voice;
}

/** Shows the voices that were made and can be forgotten. */
export function showMade(onGone) {
  by("made").replaceChildren(...voices.filter((voice) => voice.deletable).map((voice) => {
    const forget = make("button", { type: "button", className: "quiet", ariaLabel: `Forget the voice ${voice.name}` }, "✕");
    forget.onclick = async () => {
      forget.disabled = true;
      await onGone(voice.name);
    };
    return make("span", {}, voice.name, forget);
  }));
}
