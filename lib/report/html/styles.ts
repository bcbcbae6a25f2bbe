/** How the page looks: system fonts, light and dark, on paper and on a phone. No colour is all that tells something. */
const colours = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f6f7f9; --text: #1c2025; --soft: #545c66; --line: #d4d9df; --strong: #8a929c;
  --link: #0a51b8; --focus: #0a51b8; --mark: #ffe08a; --mark-text: #1c2025;
  --good: #0d6130; --good-back: #e2f3e7; --bad: #a3211a; --bad-back: #fde8e6; --warn: #6f4a00; --warn-back: #fff0cc;
  --error: #ffffff; --error-back: #a3211a; --quiet: #4b535d; --quiet-back: #e9ecef;
  --h0: #cfe0f7; --h1: #cdebd3; --h2: #f7e3b5; --h3: #f5cfd6; --h4: #dcd4f5; --h5: #c9ebec; --h6: #f9d9c0; --h7: #e3e7c0;
  --edge: #5d6670; --gap: #eceef1; --hatch: #b4bac2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --panel: #1c2026; --text: #e3e6ea; --soft: #a4acb6; --line: #343a42; --strong: #6d7681;
    --link: #8db8f8; --focus: #8db8f8; --mark: #6b5200; --mark-text: #fff3cf;
    --good: #86dca2; --good-back: #15331f; --bad: #ffa39a; --bad-back: #44191a; --warn: #f2cb72; --warn-back: #3a2d0c;
    --error: #2a0503; --error-back: #ff8f85; --quiet: #b4bbc4; --quiet-back: #2a3037;
    --h0: #1f3a5f; --h1: #1d4429; --h2: #4d3c10; --h3: #5a2430; --h4: #3a2f63; --h5: #14474a; --h6: #5a3319; --h7: #3f4418;
    --edge: #9aa3ad; --gap: #22272d; --hatch: #4a525c;
  }
}
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --panel: #ffffff; --text: #000000; --soft: #3c434b; --line: #b4bac2; --strong: #6d7681;
    --link: #000000; --mark: #ffe08a; --mark-text: #000000;
    --good: #0d6130; --good-back: #ffffff; --bad: #a3211a; --bad-back: #ffffff; --warn: #6f4a00; --warn-back: #ffffff;
    --error: #a3211a; --error-back: #ffffff; --quiet: #4b535d; --quiet-back: #ffffff;
    --h0: #cfe0f7; --h1: #cdebd3; --h2: #f7e3b5; --h3: #f5cfd6; --h4: #dcd4f5; --h5: #c9ebec; --h6: #f9d9c0; --h7: #e3e7c0;
    --edge: #5d6670; --gap: #eceef1; --hatch: #b4bac2;
  }
}
`

const text = `
* { box-sizing: border-box; }
html { scroll-padding-top: 3.6rem; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere;
}
code, pre, .dump, .ids, .example h4 {
  font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace;
}
code, pre, .dump td, .dump tbody th { font-size: 12.5px; }
td, th, dd, li, code, h3, h4 { unicode-bidi: isolate; }
h1 { font-size: 1.05rem; margin: 0; font-weight: 650; }
h1 .note { font-weight: 400; }
h2 { font-size: 1.2rem; margin: 0 0 .6rem; padding-top: 1.4rem; border-top: 1px solid var(--line); font-weight: 650; }
#summary h2 { border-top: 0; padding-top: .6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; font-weight: 650; }
h4 { font-size: .93rem; margin: .2rem 0; font-weight: 650; }
p { margin: .35rem 0 .6rem; }
ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; }
a { color: var(--link); text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 1px; border-radius: 2px; }
[tabindex="-1"]:focus-visible { outline: none; }
.note { color: var(--soft); font-weight: 400; }
.left { color: var(--soft); font-style: italic; }
`

const frame = `
.skip { position: absolute; left: -100vw; top: 0; padding: .4rem .8rem; background: var(--page); z-index: 3; }
.skip:focus { left: .5rem; top: .5rem; }
.top {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; align-items: baseline;
  padding: .55rem max(1rem, calc((100vw - 74rem) / 2)); background: var(--panel); border-bottom: 1px solid var(--line);
}
.top nav { display: flex; flex-wrap: wrap; gap: 0 1rem; }
main { max-width: 76rem; margin: 0 auto; padding: 0 1rem 4rem; }
main:focus { outline: none; }
.block { padding: .2rem 0 .8rem; }
.block + .block { border-top: 1px dashed var(--line); }
.scroll { max-width: 100%; overflow-x: auto; margin: .3rem 0 .7rem; }
details { margin: .3rem 0; }
summary { cursor: pointer; padding: .12rem 0; }
summary h4 { display: inline; }
summary .name { font-weight: 600; }
.picture, .generation { padding: .15rem 0; }
.tally { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; list-style: none; }
.tally li { padding: .25rem .8rem; border-radius: 4px; }
.tally b { font-size: 1.15rem; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.warn { color: var(--warn); background: var(--warn-back); }
.error { color: var(--error); background: var(--error-back); }
.quiet { color: var(--quiet); background: var(--quiet-back); }
.chip { display: inline-block; padding: 0 .45em; border-radius: 3px; font-weight: 600; font-size: .86em; line-height: 1.6; font-variant: normal; }
.harm { color: var(--bad); }
dl { display: grid; grid-template-columns: minmax(6.5rem, max-content) 1fr; gap: .12rem .9rem; margin: .3rem 0 .6rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
dd ul { margin: 0; padding-left: 1.1rem; }
pre { margin: 0; padding: .5rem .7rem; background: var(--panel); border: 1px solid var(--line); border-radius: 4px; white-space: pre; overflow-wrap: normal; tab-size: 8; width: max-content; min-width: 100%; }
.command { display: flex; gap: .5rem; align-items: start; margin: .3rem 0 .5rem; max-width: 100%; }
.command code { flex: 0 1 auto; padding: .3rem .6rem; background: var(--panel); border: 1px solid var(--line); border-radius: 4px; }
button { font: inherit; font-size: .86em; color: var(--text); background: var(--page); border: 1px solid var(--strong); border-radius: 4px; padding: .25rem .6rem; cursor: pointer; }
button[hidden] { display: none; }
.example { margin: .5rem 0 1rem; padding-left: .9rem; border-left: 3px solid var(--line); }
.ids { columns: 26rem; padding-left: 1rem; }
`

const tables = `
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .22rem .7rem .22rem .45rem; border-bottom: 1px solid var(--line); overflow-wrap: normal; font-weight: 400; }
thead th { color: var(--soft); vertical-align: bottom; border-bottom-color: var(--strong); }
.n { text-align: right; }
.numbers td, .numbers th { white-space: nowrap; }
.places { min-width: 46rem; width: 100%; }
.places tbody th { font-weight: 600; min-width: 9rem; }
.places td:nth-child(2) { white-space: nowrap; }
.places .n { white-space: nowrap; }
.places tbody tr { color: inherit; background: none; }
.places tr.error th, .places tr.error td { background: var(--bad-back); color: var(--bad); }
.places tr.error th { box-shadow: inset 4px 0 0 var(--error-back); padding-left: .8rem; }
.places tr.error a { color: var(--bad); }
.grid { font-size: 13px; }
.grid td, .grid th { border: 1px solid var(--line); padding: 0; }
.grid tbody th { position: sticky; left: 0; z-index: 1; background: var(--panel); padding: .1rem .5rem; white-space: nowrap; }
.grid thead th { background: var(--panel); padding: .3rem .2rem; text-align: center; }
.grid thead th:first-child { position: sticky; left: 0; z-index: 1; text-align: left; padding: .3rem .5rem; }
.grid .up { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; max-height: 14rem; }
.pair { display: inline-block; min-width: 2rem; padding: .15rem .3rem; text-align: center; text-decoration: none; font-weight: 700; }
.grid .pair { display: block; }
.pair.live { text-decoration: underline; text-decoration-thickness: 2px; }
.none { display: block; text-align: center; color: var(--soft); padding: .15rem .3rem; }
.grid a:focus-visible { outline-offset: -2px; }
.words thead th { text-align: left; padding: .3rem .6rem; max-width: 14rem; min-width: 6rem; }
.cell { display: block; padding: .2rem .6rem; text-decoration: none; }
.cell + .cell { border-top: 1px solid var(--line); }
.cell b { white-space: nowrap; }
.cell:hover b, .pair:hover { text-decoration: underline; }
.dump { border: 1px solid var(--line); }
.bytes { margin: .5rem 0 .1rem; }
.bytes + .scroll { margin-top: 0; }
.dump td, .dump th { white-space: pre; border-bottom: 0; padding: .05rem .8rem .05rem .5rem; }
.dump tbody th { text-align: right; color: var(--soft); }
.dump thead th { border-bottom: 1px solid var(--line); font-size: 12.5px; }
.dump td + td { border-left: 1px solid var(--line); }
mark { background: var(--mark); color: var(--mark-text); text-decoration: underline; text-underline-offset: 2px; border-radius: 2px; }
.evidence { display: none; }
.evidence:target { display: block; margin: .8rem 0; padding: .6rem .9rem .8rem; background: var(--panel); border: 1px solid var(--strong); border-left: 4px solid var(--focus); border-radius: 4px; }
.evidence header { display: flex; gap: 1rem; justify-content: space-between; align-items: baseline; }
.close { flex: none; }
.evidence pre, .evidence .scroll table { background: var(--page); }
`

const pictures = `
svg { display: block; font-family: inherit; }
svg text { fill: var(--text); font-size: 11px; }
svg .tick, svg .leader { fill: var(--soft); }
svg .leader { fill: none; stroke: var(--edge); stroke-width: .8; }
svg .sign { font-size: 12px; font-weight: 700; paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
svg rect { stroke: var(--edge); stroke-width: .8; }
svg .flow { fill-opacity: .55; stroke: var(--edge); stroke-width: .5; stroke-opacity: .6; }
svg .flow.moves { stroke-width: 1; stroke-opacity: 1; }
svg .flow.missing, svg .flow.new { stroke-dasharray: 3 2; stroke-opacity: 1; }
.gap rect { fill: var(--gap); stroke-dasharray: 2 2; }
.h0 rect, .flow.h0 { fill: var(--h0); } .h1 rect, .flow.h1 { fill: var(--h1); }
.h2 rect, .flow.h2 { fill: var(--h2); } .h3 rect, .flow.h3 { fill: var(--h3); }
.h4 rect, .flow.h4 { fill: var(--h4); } .h5 rect, .flow.h5 { fill: var(--h5); }
.h6 rect, .flow.h6 { fill: var(--h6); } .h7 rect, .flow.h7 { fill: var(--h7); }
`

const places = `
@media (max-width: 40rem) {
  body { font-size: 15px; }
  .top { position: static; }
  html { scroll-padding-top: .5rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dt { margin-top: .35rem; }
  .command { flex-wrap: wrap; }
  .ids { columns: auto; }
  .places, .places tbody, .places tr, .places th, .places td { display: block; }
  .places { min-width: 0; }
  .places thead { display: none; }
  .places tr { padding: .3rem .45rem .4rem; border-bottom: 1px solid var(--line); }
  .places th, .places td { border: 0; padding: .05rem 0; }
  .places .n { text-align: left; }
  .places tr.error { background: var(--bad-back); box-shadow: inset 4px 0 0 var(--error-back); padding-left: .8rem; }
  .places tr.error th { box-shadow: none; padding-left: 0; }
  .dump thead { display: none; }
  .dump tr { display: grid; grid-template-columns: 2.6rem max-content; }
  .dump tbody th { grid-row: span 2; }
  .dump td { font-size: 11.5px; padding: .05rem .4rem; }
  .dump td + td { border-left: 0; }
  .dump td:nth-child(2)::before { content: 'exp '; color: var(--soft); }
  .dump td:nth-child(3)::before { content: 'obs '; color: var(--soft); }
  .example { padding-left: .5rem; }
}
@media print {
  body { font-size: 9.5pt; }
  .top { position: static; }
  .top nav, .skip, button, .close { display: none; }
  .scroll { overflow: visible; }
  svg { max-width: 100%; height: auto; }
  .failure, .picture, tr { break-inside: avoid; }
  pre { white-space: pre-wrap; width: auto; }
}
@media (forced-colors: active) {
  .chip, .tally li, .pair, .cell { border: 1px solid; }
}
`

export const styles = colours + text + frame + tables + pictures + places
