/** The page's own rules; the theme's variables hold its colours. */
export const STYLE = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1320px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.2rem;margin:40px 0 4px}
h3{font-size:1rem;margin:20px 0 0}
p{max-width:70ch;margin:4px 0 12px;overflow-wrap:anywhere}
small{color:var(--muted)}
.muted{color:var(--muted)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem;margin:8px 0}
a{color:var(--series-0)}
.shapes{position:absolute}
.switch{position:fixed;top:0;opacity:0;pointer-events:none}
.filter{position:sticky;top:0;z-index:2;background:var(--paper);padding:6px 0;font-size:.9rem;border-bottom:1px solid var(--grid)}
.filter summary{cursor:pointer;color:var(--series-0);width:fit-content}
.filter p{max-width:none;margin:6px 0}
.filter[open]{max-height:60vh;overflow:auto}
label{cursor:pointer}
label,.legend span{display:inline-flex;align-items:center;gap:5px}
.filter label{border:1px solid var(--grid);border-radius:4px;padding:1px 7px;margin:2px 0}
label svg,.legend span svg{flex:none;width:16px;height:16px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.8rem;margin-bottom:4px}
.legend label,.legend span{min-width:0;overflow-wrap:anywhere}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:28px 24px;margin-top:12px}
.maps{grid-template-columns:repeat(auto-fill,minmax(min(100%,228px),1fr));gap:16px}
figure{margin:0;min-width:0;break-inside:avoid;display:flex;flex-direction:column}
figure.wide{grid-column:1/-1}
figure p{font-size:.85rem;margin:4px 0}
figcaption{font-weight:600;margin-bottom:6px;overflow-wrap:anywhere}
figcaption a{color:var(--muted);font-weight:400;font-size:.75rem;margin-left:6px}
figure svg,.key svg{display:block;width:100%;height:auto;font-family:system-ui,sans-serif}
figure .legend svg{width:16px;height:16px}
figcaption,.legend{order:-1}
figcaption{order:-2}
figure.wide svg{width:auto;max-width:none}
.plot{position:relative}
.tips{position:absolute;inset:0}
.at{position:absolute;top:0;bottom:0}
.at:hover{background:linear-gradient(90deg,#8881,#8882,#8881)}
.tip{display:none;position:absolute;left:calc(var(--x) + 12px);top:8%;z-index:1;pointer-events:none;background:var(--paper);border:1px solid var(--grid);border-radius:4px;box-shadow:0 2px 8px #0003;padding:6px 9px;font-size:.8rem;white-space:nowrap;font-variant-numeric:tabular-nums}
.tip.west{left:auto;right:calc(100% - var(--x) + 12px)}
.at:hover+.tip{display:block}
.tip p{margin:0;font-size:inherit;max-width:none;display:flex;gap:6px;align-items:center}
.tip p b{margin-left:auto;padding-left:10px}
.tip p i{width:9px;height:9px;border-radius:2px;flex:none}
.key svg{width:240px}
.scroll{overflow-x:auto;margin:12px 0}
figure .scroll{margin:0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
th,td{padding:6px 14px 6px 0;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap;vertical-align:top}
th{font-weight:600;color:var(--muted);vertical-align:bottom}
th:not(.text){white-space:normal}
th:first-child,td:first-child{position:sticky;left:0;background:var(--paper)}
th.text,td.text{text-align:left}
td.long{white-space:normal;min-width:44ch}
.cards td,.cards th{white-space:normal}
.cards td.long{min-width:18ch}
.cards td:first-child{min-width:12ch}
.small{font-size:.76rem}
.small th,.small td{padding:5px 9px 5px 0}
.chip{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.note{background:var(--panel);border-left:3px solid var(--series-1);padding:8px 12px;max-width:70ch}
@media (max-width:600px){
.cards,.cards tbody,.cards tr{display:block}
.cards thead{display:none}
.cards tr{border-bottom:1px solid var(--grid);padding:6px 0}
.cards td,.cards td.long{display:inline;border:0;padding:0 10px 0 0;text-align:left;overflow-wrap:anywhere}
.cards td:first-child{display:block;position:static;min-width:0;max-width:none;font-weight:600}
.cards td:not(:first-child)::before{content:attr(data-head) " ";color:var(--muted)}
.side-by-side tbody{display:flex;overflow-x:auto;scroll-snap-type:x proximity;gap:14px}
.side-by-side tr{flex:0 0 84%;scroll-snap-align:start}
body{font-size:15px}
h2{margin-top:22px}
table{font-size:.8rem}
th,td{padding-right:10px}
td.long{min-width:26ch}
td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:9rem;max-width:44vw}
.pictures{gap:18px}
.tip,.tip.west{left:0;right:0;top:auto;bottom:100%;white-space:normal}
.strip{display:flex;overflow-x:auto;scroll-snap-type:x proximity;gap:14px}
.strip figure{flex:0 0 94%;scroll-snap-align:start}
.maps figure{flex-basis:72%}
}
@media print{nav,.filter,figcaption a{display:none}main{max-width:none}.scroll{overflow:visible}figure.wide svg{width:100%;max-width:100%}}
`;
