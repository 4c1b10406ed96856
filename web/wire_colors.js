/** One colour for each of this extension's kinds of wire, in classic and in Vue nodes. */

import { app } from "../../scripts/app.js";

export const COLORS = {
  FOURREAL_GRID: "#e8b04b", // the amber of given cells
  FOURREAL_TRACKS: "#c58af0",
  FOURREAL_SCENE: "#4fc3d9",
};

/**
 * A colour that stays: colour themes write an empty one for every type that they don't know.
 *
 * @param {Record<string, string>} table @param {string} type @param {string} color
 */
function keep(table, type, color) {
  Object.defineProperty(table, type, { get: () => color, set: () => {}, enumerable: true, configurable: true });
}

app.registerExtension({
  name: "fourreal.wireColors",
  setup() {
    const canvas = app.canvas;
    for (const table of [canvas.default_connection_color_byType, canvas.constructor.link_type_colors]) {
      if (table) for (const [type, color] of Object.entries(COLORS)) keep(table, type, color);
    }
    // a rule, not an inline style: a colour theme removes inline ones of types that it doesn't know
    const rules = Object.entries(COLORS).map(([type, color]) => `--color-datatype-${type}: ${color};`);
    const sheet = document.createElement("style");
    sheet.textContent = `:root { ${rules.join(" ")} }`;
    document.head.append(sheet);
    canvas.setDirty?.(true, true);
  },
});
