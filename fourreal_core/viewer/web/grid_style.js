/** How the grid preview looks. */
export const GRID_CSS = `
:host { display: block; contain: strict; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
.grid-preview { --accent: #5b9dff; height: 100%; display: flex; flex-direction: column; background: #14161a;
  color: #e6e8ec; font: 12px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color-scheme: dark; }
.stage { position: relative; flex: 1; min-height: 0; display: grid; place-items: center; background: #0d0e11;
  cursor: move; touch-action: none; overflow: hidden; }
.stage img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; user-select: none; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: -2px; }
.dock { padding: 8px 10px 10px; display: grid; gap: 2px; border-top: 1px solid #2d3139; }
label { display: grid; grid-template-columns: 40px 1fr; align-items: center; gap: 8px; color: #9aa1ad; }
input[type="range"] { width: 100%; height: 22px; margin: 0; accent-color: var(--accent); cursor: pointer; }
.row { display: flex; justify-content: space-between; gap: 8px; }
.caption { font-variant-numeric: tabular-nums; }
.note { margin: 0; color: #9aa1ad; }
.map { display: grid; grid-template-columns: repeat(var(--times), 1fr); gap: 2px; margin-top: 4px; max-height: 84px;
  overflow: auto; }
.map button { height: 8px; min-width: 2px; padding: 0; border: 0; border-radius: 2px; background: #363b45;
  cursor: pointer; }
.map button.known { background: #e2953f; }
.map button.here { background: var(--accent); }
`;
