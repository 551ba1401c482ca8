import { type MatchedPlace, matchedPlace } from "../../experiments/matched.ts";
import { curvesOf, panels } from "../curves.ts";
import type { ReportModel, Results } from "../runs.ts";
import { type Look, looks } from "../theme.ts";
import { linePicture } from "./lines.ts";
import { type Picture, slug } from "./picture.ts";
import { spanOf } from "./scales.ts";

/** What is drawn of a set, and what its values are called. */
const SHOWN = [
  { metric: "forgetting_curve", label: "accuracy of copying less that of predicting" },
  { metric: "context_gain", label: "gain, nats a token" },
  { metric: "accuracy", label: "accuracy" },
] as const;

/** A model of a set, and where it stands there. */
interface Placed {
  readonly model: ReportModel;
  readonly place: MatchedPlace;
}

/**
 * Sets of models that differ in their mixer and in how much attention is among it: each mixer by the
 * ratio, and each ratio by the mixer, so that only one of both differs in a picture.
 */
export function matchedPictures(
  { models, rows }: Results,
  look: ReadonlyMap<string, Look>,
): Picture[] {
  const placed = models.flatMap((model): Placed[] => {
    const place = matchedPlace(model.name);
    return place === undefined ? [] : [{ model, place }];
  });
  const groups = [
    ...groupsBy(placed, "mixer", "ratio"),
    ...groupsBy(placed, "ratio", "mixer"),
  ];
  return SHOWN.flatMap(({ metric, label }) =>
    panels(rows, metric).flatMap(({ title, task, rows }) => {
      const all = curvesOf(rows, metric);
      return groups.flatMap(({ heading, caption, members, called }): Picture[] => {
        const curves = members.flatMap(({ model }) =>
          all.filter((curve) => curve.model === model.model)
        );
        if (curves.length < 2) return [];
        const picture = linePicture({
          name: slug(`matched ${title} ${caption}`),
          section: "matched",
          title: `${title}: ${caption}`,
          task,
          look: groupLooks(members, called, look),
          models: members.map(({ model }) => model),
          curves,
          y: { label, domain: metric === "accuracy" ? [0, 1] : spanOf(all) },
        });
        return [{ ...picture, group: { heading: `${title} ${heading}`, caption } }];
      });
    })
  );
}

/** The models of one size that are alike in one thing, by what they differ in. */
interface Group {
  readonly heading: string;
  readonly caption: string;
  readonly members: readonly Placed[];
  /** What a model is called among the others. */
  readonly called: "mixer" | "ratio";
}

function groupsBy(
  placed: readonly Placed[],
  shared: "mixer" | "ratio",
  called: "mixer" | "ratio",
): Group[] {
  const keyOf = ({ place }: Placed): string => `${place.size}, ${place[shared]}`;
  return [...Map.groupBy(placed, keyOf)].filter(([, members]) => members.length > 1)
    .map(([caption, members]) => ({
      heading: called === "ratio" ? "by the share of attention" : "by the mixer",
      caption,
      members,
      called,
    }));
}

/** The looks of models that are told apart among a few: the page's classes, colours of their own. */
function groupLooks(
  members: readonly Placed[],
  called: "mixer" | "ratio",
  look: ReadonlyMap<string, Look>,
): ReadonlyMap<string, Look> {
  const own = looks(
    members.map(({ model, place }) => ({
      model: model.model,
      name: place[called],
      family: place[called],
    })),
  );
  return new Map(
    [...own].map(([model, its]) => [model, { ...its, key: look.get(model)!.key }]),
  );
}
