import type { Draws } from "./draws.ts";

/** How a case ended that found nothing. */
export type Outcome = "right" | "refused";

/** A case: what it draws follows from the seed. Throws where what is attacked is wrong. */
export type FuzzCase = (draws: Draws) => Promise<Outcome> | Outcome;

/** What is attacked, in one process. */
export interface FuzzKind {
  /** The cases by name, which are run in turn. */
  readonly cases: Readonly<Record<string, FuzzCase>>;
  /** Seconds after which a case hangs. */
  readonly patience: number;
}

/** Fails where a refusal is not in our words: a mistake of the loader, not of the file. */
export function checkRefusal(error: unknown): "refused" {
  if (error instanceof Error && /^(Cannot|Unknown) /.test(error.message)) return "refused";
  throw error;
}
