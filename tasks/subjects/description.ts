import type { HubModel, WeightType } from "../../models/mod.ts";
import { visible } from "../names.ts";
import type { Recipe } from "../training/recipe.ts";
import type { KnownCheckpoint } from "./known.ts";

/** What a model's own files do not say, or say otherwise. */
export interface ModelSettings {
  /**
   * The prompt template of tasks in words: `base`, `chat` (the model's own) or the path of a file that
   * holds one in Jinja.
   */
  readonly template?: string;
  /** The tokenizer's folder or `hf:owner/name`, where a checkpoint has none or another is wanted. */
  readonly tokenizer?: string;
  /** The length that it was trained at, in tokens. */
  readonly trainLength?: number;
  /** How its weights are kept on the GPU. @default "f32" */
  readonly dtype?: WeightType;
}

/** A model as a sweep names it, with settings of its own. */
export interface ModelEntry extends ModelSettings {
  /**
   * A committed model's name, a folder, a file of weights, `hf:owner/name`, `hf:owner/name:file`, a
   * recipe's name or file; each also with changes behind a `+`: `transformer-mixture+yarn8`.
   */
  readonly model: string;
  /** What results call it. @default `model` */
  readonly name?: string;
  /** Whether a sweep continues without it where it cannot be found. @default false */
  readonly optional?: boolean;
  /** Its lengths, in place of the sweep's: tokens, or multiples of its training length. */
  readonly lengths?: readonly (number | `${number}x`)[];
}

/** A model as it is asked for: by name alone, or with settings of its own. */
export type AskedModel = string | ModelEntry;

/** A model with its weights kept in a form, whose name says so unless it is the exact one. */
export function inForm(asked: AskedModel, dtype: WeightType): ModelEntry {
  const entry: ModelEntry = typeof asked === "string" ? { model: asked } : asked;
  const name = dtype === "f32" ? entry.name : `${nameOf(asked)}${formMark(dtype)}`;
  return { ...entry, ...(name === undefined ? {} : { name }), dtype };
}

/** The name of a model without what {@linkcode inForm} says of its form. */
export function nameWithoutForm(name: string, dtype: string | undefined): string {
  return dtype === undefined ? name : name.replace(formMark(dtype), "");
}

function formMark(dtype: string): string {
  return ` in ${dtype}`;
}

/** What results call a model that is asked for; what cannot be seen in a path is spelled out. */
export function nameOf(asked: AskedModel): string {
  return visible(typeof asked === "string" ? asked : asked.name ?? asked.model);
}

/** What a sweep says of a model besides its name, in words; undefined where that is nothing. */
export function askedInWords(asked: AskedModel): string | undefined {
  if (typeof asked === "string") return undefined;
  const name = nameOf(asked);
  const { model, template, tokenizer, trainLength, dtype } = asked;
  const settings = [
    ...(template === undefined ? [] : [`in the template ${template}`]),
    ...(tokenizer === undefined ? [] : [`with the tokenizer ${tokenizer}`]),
    ...(trainLength === undefined ? [] : [`trained at ${trainLength} tokens`]),
    ...(dtype === undefined ? [] : [`its weights in ${dtype}`]),
  ];
  if (name !== model) return [`${name} is ${model}`, ...settings].join(", ");
  return settings.length === 0 ? undefined : `${name}: ${settings.join(", ")}`;
}

/**
 * What a model is and how it is opened, as plain data: what a name came to when it was resolved. All
 * that follows goes by this, and no name is taken apart again.
 */
export type ModelDescription =
  & ModelSettings
  & {
    /** What results call it. */
    readonly name: string;
    /** Interventions, in their order. */
    readonly changes: readonly string[];
  }
  & ModelOrigin;

/** Where a model comes from. */
export type ModelOrigin =
  | {
    readonly kind: "committed";
    /** Its name in the zoo. */
    readonly model: string;
  }
  | {
    readonly kind: "trained";
    /** The folder that `./run train` wrote. */
    readonly folder: string;
  }
  | {
    readonly kind: "published";
    /** A checkpoint's folder, the file of its weights, `hf:owner/name` or `hf:owner/name:file`. */
    readonly place: string;
    /** What of the hub that names, where it is there. */
    readonly hub?: HubModel;
    /** What is known of it by its name. */
    readonly known?: KnownCheckpoint;
  }
  | {
    readonly kind: "recipe";
    /** How it is trained when it is opened, unless it is finished in its folder. */
    readonly recipe: Recipe;
    /** Its own folder. */
    readonly folder: string;
    /** Whether it is trained: otherwise it is opened as it is before its training. */
    readonly train: boolean;
  };
