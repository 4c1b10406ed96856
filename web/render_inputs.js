/** 'Render 4D Scene' shows the values that its mode uses; the others keep what they hold, out of sight. */

import { app } from "../../scripts/app.js";

/** Values by mode; what stands in none of the lists is always shown. @type {Record<string, string[]>} */
export const USED = {
  "complete grid": ["colors"],
  "bullet time": ["frames"],
  "freeze time": ["frames", "time"],
  "fixed view": ["frames", "view"],
  orbit: ["frames", "time", "degrees"],
  camera: ["frames"],
  "camera path": ["camera_path"],
};
const SOMETIMES = new Set(Object.values(USED).flat());

/** @param {any} widget @param {boolean} hidden @returns {boolean} whether that changed anything */
function setHidden(widget, hidden) {
  if (Boolean(widget.hidden) === hidden) return false;
  widget.hidden = hidden;
  widget.options ??= {};
  widget.options.hidden = hidden; // in place: Vue nodes hold on to this object
  return true;
}

/** @param {any} node */
function showUsed(node) {
  const used = USED[node.widgets?.find((/** @type {any} */ one) => one.name === "mode")?.value];
  if (!used) return;
  const linked = new Set();
  for (const input of node.inputs ?? []) if ((input.link ?? null) !== null) linked.add(input.name);
  const sometimes = node.widgets.filter((/** @type {any} */ widget) => SOMETIMES.has(widget.name));
  const changed = sometimes.filter((/** @type {any} */ widget) =>
    setHidden(widget, !used.includes(widget.name) && !linked.has(widget.name)));
  if (!changed.length) return;
  node.widgets.splice(0, node.widgets.length, ...node.widgets); // has Vue nodes look again
  const [width] = node.size;
  node.setSize?.([width, node.computeSize?.()[1] ?? node.size[1]]);
  app.canvas?.setDirty?.(true, true);
}

app.registerExtension({
  name: "fourreal.renderInputs",
  nodeCreated(/** @type {any} */ node) {
    if (node.comfyClass !== "FourRealRenderScene") return;
    const mode = node.widgets?.find((/** @type {any} */ widget) => widget.name === "mode");
    if (!mode) return;
    const chosen = mode.callback;
    mode.callback = (/** @type {any[]} */ ...more) => {
      const result = chosen?.apply(mode, more);
      showUsed(node);
      return result;
    };
    for (const event of ["onConfigure", "onConnectionsChange"]) {
      const before = node[event];
      node[event] = (/** @type {any[]} */ ...more) => {
        const result = before?.apply(node, more);
        showUsed(node);
        return result;
      };
    }
    showUsed(node);
  },
});
