// Small helpers for the page's elements.

export const by = (id) => document.getElementById(id);

/** An element with properties and children; names with "-" and "data-" are attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Milliseconds as one reads them. */
export const msText = (ms) => (ms < 10 ? ms.toFixed(1) : String(Math.round(ms)));

/** Gives the file to who looks at the page. */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
