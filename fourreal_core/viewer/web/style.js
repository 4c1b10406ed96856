/** How the controls look. Everything is sized by the viewer's own width, not by the window's. */
export const CSS = `
:host { display: block; contain: strict; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }

.viewer {
  --back: #14161a; --raised: #1d2026; --line: #2d3139; --text: #e6e8ec; --dim: #9aa1ad; --accent: #5b9dff;
  --on: #24354f; --stage: #0d0e11; --key: #2a2e36;
  container: viewer / inline-size;
  position: relative; height: 100%; width: 100%; display: flex; flex-direction: column; overflow: hidden;
  background: var(--back); color: var(--text);
  font: 13px/1.4 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; color-scheme: dark;
}
.viewer[data-theme="light"] {
  --back: #f6f7f9; --raised: #ffffff; --line: #d9dde4; --text: #1b1e24; --dim: #5d6572; --accent: #1f6fe5;
  --on: #dce9fd; --stage: #e8eaee; --key: #eceff3; color-scheme: light;
}
@media (prefers-color-scheme: light) {
  .viewer[data-theme="auto"] {
    --back: #f6f7f9; --raised: #ffffff; --line: #d9dde4; --text: #1b1e24; --dim: #5d6572; --accent: #1f6fe5;
    --on: #dce9fd; --stage: #e8eaee; --key: #eceff3; color-scheme: light;
  }
}

button, select, input[type="number"] {
  font: inherit; color: inherit; background: transparent; border: 1px solid transparent; border-radius: 7px;
  min-height: 32px; min-width: 32px; padding: 0 6px;
}
button { display: inline-flex; align-items: center; justify-content: center; gap: 6px; cursor: pointer;
  white-space: nowrap; flex: none; }
button:hover:not(:disabled) { background: var(--key); }
button:disabled { opacity: .38; cursor: default; }
button[aria-pressed="true"], button[aria-expanded="true"] { background: var(--on); color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
canvas:focus-visible { outline-offset: -2px; }
svg { width: 19px; height: 19px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round;
  stroke-linejoin: round; flex: none; }
select, input[type="number"] { border-color: var(--line); background: var(--raised); }
input[type="number"] { width: 72px; }
select option { background: var(--raised); color: var(--text); }

input[type="range"] { appearance: none; -webkit-appearance: none; background: none; height: 32px; margin: 0; width: 100%;
  cursor: pointer; --at: 0%; }
input[type="range"]::-webkit-slider-runnable-track { height: 4px; border-radius: 2px;
  background: linear-gradient(to right, var(--accent) var(--at), var(--line) var(--at)); }
input[type="range"]::-moz-range-track { height: 4px; border-radius: 2px; background: var(--line); }
input[type="range"]::-moz-range-progress { height: 4px; border-radius: 2px; background: var(--accent); }
input[type="range"]::-webkit-slider-thumb { -webkit-appearance: none; width: 14px; height: 14px; margin-top: -5px;
  border-radius: 50%; background: var(--accent); border: 2px solid var(--back); }
input[type="range"]::-moz-range-thumb { width: 12px; height: 12px; border-radius: 50%; background: var(--accent);
  border: 2px solid var(--back); }

.bar { display: flex; align-items: center; gap: 4px; padding: 6px 8px 6px 14px; min-width: 0; }
.bar h1 { font-size: 14px; font-weight: 600; margin: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.info { color: var(--dim); font-size: 12px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  font-variant-numeric: tabular-nums; margin-left: 10px; min-width: 0; flex: 0 1 auto; }
.gap { flex: 1; }

.stage { position: relative; flex: 1; min-height: 0; background: var(--stage); overflow: hidden; }
.stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; touch-action: none; cursor: grab; }
.stage canvas:active { cursor: grabbing; }
.clear .stage { background: repeating-conic-gradient(#808080 0 25%, #a0a0a0 0 50%) 0 0 / 20px 20px; }
.beside .stage canvas { width: 50%; }
.beside.stacked .stage canvas { width: 100%; height: 50%; }
.idle .stage canvas { visibility: hidden; }

.compare { position: absolute; inset: 0; pointer-events: none; }
.compare .given { position: absolute; display: block; }
.compare .wipe { position: absolute; pointer-events: none; }
.compare .wipe::-webkit-slider-runnable-track { background: none; height: 100%; }
.compare .wipe::-webkit-slider-thumb { pointer-events: auto; width: 28px; height: 100%; margin: 0; border: 0;
  border-radius: 0; cursor: ew-resize; background: linear-gradient(to right, transparent 13px, #fff 13px, #fff 15px,
  transparent 15px); filter: drop-shadow(0 0 2px #000a); }
.compare .wipe::-moz-range-track, .compare .wipe::-moz-range-progress { background: none; height: 100%; }
.compare .wipe::-moz-range-thumb { pointer-events: auto; width: 28px; height: 100%; border: 0; border-radius: 0;
  cursor: ew-resize; background: linear-gradient(to right, transparent 13px, #fff 13px, #fff 15px, transparent 15px); }
.caption { position: absolute; right: 10px; bottom: 10px; display: flex; align-items: center; gap: 4px; color: #fff;
  background: #000a; border-radius: 8px; padding: 2px 4px 2px 10px; pointer-events: auto; font-size: 12px; }
.caption span:only-of-type { padding: 4px 6px 4px 0; }
.caption button:hover:not(:disabled) { background: #fff3; }

.panel { position: absolute; right: 8px; top: 8px; background: var(--raised); border: 1px solid var(--line);
  border-radius: 12px; padding: 12px 14px; display: grid; gap: 10px; box-shadow: 0 8px 28px #0006;
  max-width: calc(100% - 16px); }
.setting { display: grid; grid-template-columns: 78px 1fr; align-items: center; gap: 8px; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: 4px; }
.controls input[type="range"] { flex: 1; min-width: 110px; }
.label { color: var(--dim); font-size: 12px; white-space: nowrap; }
.chip { border-color: var(--line); border-radius: 16px; min-height: 28px; min-width: 30px; padding: 0 9px;
  font-size: 12px; text-transform: capitalize; font-variant-numeric: tabular-nums; }
.chip[aria-pressed="true"] { border-color: var(--accent); }

.message { position: absolute; inset: 0; display: grid; place-content: center; text-align: center; padding: 24px;
  background: var(--stage); }
.message p { margin: 0 auto 6px; max-width: 46ch; font-size: 16px; }
.message .remedy { color: var(--dim); font-size: 13px; }
progress { position: absolute; left: 0; right: 0; bottom: 0; width: 100%; height: 3px; appearance: none; border: 0;
  background: none; }
progress::-webkit-progress-bar { background: none; }
progress::-webkit-progress-value { background: var(--accent); }
progress::-moz-progress-bar { background: var(--accent); }

.dock { padding: 6px 10px 8px; display: grid; gap: 4px; border-top: 1px solid var(--line); }
.row { display: flex; align-items: center; gap: 6px; min-width: 0; }
.main { background: var(--accent); color: #fff; border-radius: 50%; width: 36px; height: 36px; padding: 0; }
.main:hover:not(:disabled) { background: var(--accent); filter: brightness(1.1); }
.main svg { fill: currentColor; }
.track { position: relative; flex: 1; min-width: 60px; }
.track input { position: relative; z-index: 1; display: block; }
.ticks { position: absolute; left: 7px; right: 7px; top: 22px; height: 5px; }
.ticks i { position: absolute; width: 1px; height: 5px; background: var(--dim); opacity: .55; }
.readout { font-variant-numeric: tabular-nums; color: var(--dim); font-size: 12px; min-width: 62px; text-align: right; }
.moves { overflow-x: auto; scrollbar-width: none; }
.moves :focus-visible { outline-offset: -2px; }
.chips { display: flex; align-items: center; gap: 4px; overflow-x: auto; scrollbar-width: none; flex: 1; padding: 2px; }
.chips .label { margin-right: 4px; }

.path-editor { border-bottom: 1px solid var(--line); padding-bottom: 8px; margin-bottom: 2px; display: grid; gap: 6px; }
.path-editor .row { flex-wrap: wrap; }
.field { display: inline-flex; align-items: center; gap: 6px; color: var(--dim); font-size: 12px; }
.field input[type="checkbox"] { width: 16px; height: 16px; accent-color: var(--accent); margin: 0; }
.strip { display: flex; gap: 8px; overflow-x: auto; padding: 3px; min-height: 66px; scrollbar-width: thin;
  border-radius: 8px; }
.key { position: relative; flex: none; border-radius: 8px; overflow: hidden; border: 2px solid transparent;
  background: var(--key); cursor: pointer; height: 66px; }
.key[aria-selected="true"] { border-color: var(--accent); }
.key img { display: block; height: 100%; width: auto; min-width: 48px; }
.key span { position: absolute; left: 4px; top: 4px; font-size: 11px; line-height: 1; padding: 3px 5px; color: #fff;
  background: #000a; border-radius: 5px; font-variant-numeric: tabular-nums; }
.key .when { top: auto; bottom: 4px; }
.empty { margin: auto 4px; color: var(--dim); }
.note { color: var(--dim); font-size: 12px; }
.note:empty { display: none; }

.bare .bar, .bare .dock { display: none; }

dialog.help { border: 1px solid var(--line); border-radius: 14px; background: var(--raised); color: var(--text);
  padding: 16px 20px 20px; width: min(820px, calc(100vw - 24px)); max-width: none; max-height: calc(100vh - 24px); }
dialog.help::backdrop { background: #0008; }
.help header { display: flex; justify-content: space-between; align-items: center; }
.help h2 { margin: 0; font-size: 16px; }
.help h3 { margin: 12px 0 6px; font-size: 12px; color: var(--dim); font-weight: 600; }
.topics { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(340px, 100%), 1fr)); gap: 0 28px; }
.help dl { display: grid; grid-template-columns: minmax(80px, 150px) 1fr; gap: 6px 12px; margin: 0; align-items: baseline; }
.help dd { margin: 0; }
.help dt { line-height: 1.9; }
kbd { font: inherit; font-size: 11.500px; background: var(--key); border: 1px solid var(--line); border-radius: 5px;
  padding: 1px 6px; white-space: nowrap; }

@container viewer (max-width: 620px) {
  button .text { display: none; }
  .moves .label, .bar h1 { display: none; }
  .bar { padding-left: 10px; gap: 0; }
  .info { margin-left: 0; }
  .readout { min-width: 0; }
}
@container viewer (max-width: 430px) {
  .transport { flex-wrap: wrap; }
  .transport .track { flex: 1 0 calc(100% - 48px); order: 0; }
  .transport .readout { margin-right: auto; order: 1; padding-left: 4px; }
  .transport select, .transport button:last-child { order: 1; }
  .info { font-size: 11px; }
  .bar button { min-width: 30px; padding: 0 4px; }
  .path-editor .row { column-gap: 2px; }
  .path-editor input[type="number"] { width: 52px; padding: 0 6px; }
  .setting { grid-template-columns: 1fr; gap: 4px; }
}
`;
