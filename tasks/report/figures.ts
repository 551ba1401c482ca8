import { parseHTML } from "linkedom";
import { groupBy } from "./curves.ts";
import { escape } from "./html.ts";
import { legendText, swatch } from "./pictures/legend.ts";
import {
  labelled,
  type PageLegendItem,
  type Picture,
  type Section,
  type Tip,
} from "./pictures/picture.ts";
import type { Look } from "./theme.ts";

/** What figures link to and are switched by: the classes of what is shown or hidden. */
export interface Switches {
  /** The kinds of files that pictures have, by their names' endings. */
  readonly files: readonly string[];
  /** Of models, by their labels. */
  readonly models: ReadonlyMap<string, Look>;
  /** Of tasks, by their names: `t0`. */
  readonly tasks: ReadonlyMap<string, string>;
  /** How many pictures the page has. */
  readonly pictures: number;
  /** Sections whose pictures are links to their files alone, where a page would be too large. */
  readonly linked: readonly Section[];
}

/** Sections whose pictures are a strip on a phone where the page has many: 12 screens hold it then. */
const STRIPS: readonly Section[] = ["distance", "state", "memory", "perplexity", "cost"];
/** The most pictures of a page on which these are one below the other. */
const FEW = 24;
/** More pictures than this are a strip on a phone; so are those that have a heading. */
const ONE_BELOW_THE_OTHER = 6;

/** Pictures, under the headings of their groups. */
export function figures(pictures: readonly Picture[], switches: Switches): string {
  return [...groupBy(pictures, ({ group }) => group?.heading)].map(([heading, group]) => {
    const [{ task, section }] = group;
    const strip = heading !== undefined || group.length > ONE_BELOW_THE_OTHER ||
      (STRIPS.includes(section) && switches.pictures > FEW);
    const classes = `pictures${strip ? " strip" : ""}${heading === undefined ? "" : " maps"}`;
    const tasked = heading === undefined ? "" : classOf(switches.tasks.get(task ?? ""));
    return `${
      heading === undefined ? "" : `<h3${tasked}>${escape(heading)}</h3>`
    }<div class="${classes}">${group.map((picture) => figure(picture, switches)).join("\n")}</div>`;
  }).join("\n");
}

function figure(picture: Picture, switches: Switches): string {
  const { files: kinds, models, tasks, linked } = switches;
  const { name, title, section, group, notes = [], task, model, wide } = picture;
  const classes = [
    ...(wide ? ["wide"] : []),
    ...(task === undefined ? [] : [tasks.get(task)]),
    ...(model === undefined ? [] : [models.get(model)!.key]),
  ];
  const files = kinds.map((kind) => `<a href="${name}.${kind}" download>${kind.toUpperCase()}</a>`)
    .join("");
  return `<figure id="${name}"${classOf(classes.join(" "))}><figcaption>${
    escape(group?.caption ?? title)
  }<span>${files}</span></figcaption>${
    linked.includes(section) ? "" : plot(picture) + legend(picture.legend ?? [])
  }${notes.map((note) => `<p class="muted">${escape(note)}</p>`).join("")}</figure>`;
}

function classOf(classes: string | undefined): string {
  return classes ? ` class="${classes}"` : "";
}

/** A legend whose models are switches. */
function legend(items: readonly PageLegendItem[]): string {
  if (items.length === 0) return "";
  return `<div class="legend">${
    items.map((item) => {
      const text = swatch(item, item.look) + escape(legendText(item));
      return item.look?.key
        ? `<label for="${item.look.key}">${text}</label>`
        : `<span>${text}</span>`;
    }).join("")
  }</div>`;
}

/** What was made of pictures: a page that is too large is laid several times. */
const PLOTS = new WeakMap<Picture, string>();

/** The picture without its own legend, and what a pointer finds in it. */
function plot(picture: Picture): string {
  const made = PLOTS.get(picture) ?? makePlot(picture);
  PLOTS.set(picture, made);
  return made;
}

function makePlot({ svg, legendHeight = 0, tips = [], wide }: Picture): string {
  const { document } = parseHTML(svg);
  const root = document.querySelector("svg")!;
  for (const item of root.querySelectorAll('[aria-label="legend"]')) item.remove();
  const [, , width, height] = root.getAttribute("viewBox")!.split(" ").map(Number);
  root.setAttribute("viewBox", `0 ${legendHeight} ${width} ${height - legendHeight}`);
  if (!wide) { for (const size of ["width", "height"]) root.removeAttribute(size); }
  const label = root.getAttribute("aria-label")!;
  const shown = labelled(root, label);
  const content = tips.length === 0
    ? shown
    : `<div class="plot">${shown}<div class="tips">${tips.map(tip).join("")}</div></div>`;
  return wide ? `<div class="scroll" tabindex="0">${content}</div>` : content;
}

function tip({ left, right, at, head, lines }: Tip): string {
  const percent = (share: number): string => `${Number((100 * share).toFixed(1))}%`;
  return `<div class="at" style="left:${percent(left)};width:${
    percent(right - left)
  }"></div><div class="tip${at > 0.5 ? " west" : ""}" style="--x:${percent(at)}"><b>${
    escape(head)
  }</b>${
    lines.map(({ look, name, text }) =>
      `<p${classOf(look.key)}><i${look.key ? "" : ` style="background:${look.colour}"`}></i>${
        escape(name)
      } <b>${escape(text)}</b></p>`
    ).join("")
  }</div>`;
}

/** The switches of a page and their rules: what is unticked is not shown. */
export function switchBoard(
  { models, tasks }: Switches,
): { rules: string; inputs: string; menu: string } {
  const all = [
    ...[...models].map(([model, { key }]) => ({ key, name: model, kind: "Models" })),
    ...[...tasks].map(([task, key]) => ({ key, name: task, kind: "Tasks" })),
  ];
  const colours = [...models.values()].map(({ key, colour }) => `.${key}>i{background:${colour}}`);
  const rules = colours.concat(
    all.map(({ key }) =>
      `#${key}:not(:checked)~* .${key}{display:none}` +
      `#${key}:not(:checked)~* label[for=${key}]{opacity:.45;text-decoration:line-through}` +
      `#${key}:focus-visible~* label[for=${key}]{outline:2px solid var(--series-0)}`
    ),
  ).join("\n");
  const inputs = all.map(({ key, name }) =>
    `<input type="checkbox" class="switch" id="${key}" form="shown" aria-label="${
      escape(name)
    }" checked>`
  ).join("");
  const menu = [...groupBy(all, ({ kind }) => kind)].map(([kind, group]) =>
    `<p><b>${kind}</b> ${
      group.map(({ key, name }) => {
        const look = models.get(name);
        const mark = kind === "Models" && look ? swatch({ model: name }, look) : "";
        return `<label for="${key}">${mark}${escape(name)}</label>`;
      }).join(" ")
    }</p>`
  ).join("");
  return {
    rules,
    inputs: `<form id="shown"></form>${inputs}`,
    menu:
      `<details class="filter"><summary>Choose models and tasks</summary>${menu}<button type="reset" form="shown">Show all</button></details>`,
  };
}
