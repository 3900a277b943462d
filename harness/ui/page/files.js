// What a person takes along: a text on the clipboard, or a file.

import { el } from "./dom.js";
import { say } from "./actions.js";

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch (error) {
    say(`The browser does not allow copying: ${error.message}`, true);
  }
}

export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  say(`Saved as ${name}.`);
}

// A part of a file's name, of whatever text.
export const named = (text) => text.replace(/[^\w.-]+/g, "-").slice(0, 80) || "unnamed";
