/** The page's own rules; the theme's variables hold its colours. */
export const STYLE = `
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.2rem;margin:40px 0 4px}
h3{font-size:1rem;margin:24px 0 0}
p{max-width:70ch;margin:4px 0 12px;overflow-wrap:anywhere}
small{color:var(--muted)}
.muted{color:var(--muted)}
nav{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:.9rem;margin:8px 0}
a{color:var(--series-0)}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:28px 24px;margin-top:12px}
figure{margin:0;min-width:0;break-inside:avoid}
figure.wide{grid-column:1/-1}
figcaption{font-weight:600;margin-bottom:6px;overflow-wrap:anywhere}
figcaption a{color:var(--muted);font-weight:400;font-size:.8rem;margin-left:6px}
figure svg,.key svg{display:block;width:100%;height:auto;font-family:system-ui,sans-serif}
figure.wide svg{width:auto;max-width:none}
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
.chip{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.note{background:var(--panel);border-left:3px solid var(--series-1);padding:8px 12px;max-width:70ch}
@media (max-width:600px){table{font-size:.8rem}th,td{padding-right:10px}td:first-child{white-space:normal;overflow-wrap:anywhere;min-width:10rem;max-width:44vw}}
@media print{nav,figcaption a{display:none}main{max-width:none}.scroll{overflow:visible}figure.wide svg{width:100%;max-width:100%}}
`;
