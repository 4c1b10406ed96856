/** Elements, said in one line each. */

import { ICONS } from "./icons.js";

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | number | boolean | EventListener>} [attributes] functions are listeners of that name;
 *   true is an attribute without a value, false none
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false) made.setAttribute(name, String(value));
  }
  made.append(...children);
  return made;
}

/** @param {string} name @returns {SVGElement} */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const line of ICONS[name]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

/**
 * A button with a picture; its name is what screen readers say and what a tooltip shows.
 *
 * @param {string} picture
 * @param {string} name
 * @param {() => void} onClick
 * @param {string} [text] shown beside the picture where there is room
 * @returns {HTMLButtonElement}
 */
export function iconButton(picture, name, onClick, text) {
  const button = element("button", { type: "button", "aria-label": name, title: name, click: onClick }, icon(picture));
  if (text) button.append(element("span", { class: "text" }, text));
  return button;
}

/** @param {HTMLButtonElement} button @param {string} picture @param {string} name */
export function setButton(button, picture, name) {
  if (button.title === name) return;
  button.title = name;
  button.setAttribute("aria-label", name);
  button.querySelector("svg")?.replaceWith(icon(picture));
}

/** @param {HTMLElement} button @param {boolean} on */
export function setPressed(button, on) {
  const value = String(on);
  if (button.getAttribute("aria-pressed") !== value) button.setAttribute("aria-pressed", value);
}

/** @param {ImageData} image @returns {HTMLCanvasElement} */
export function canvasOf(image) {
  const canvas = element("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}

/** @param {Blob} blob @param {string} name the file's */
export function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
