/** How one of RULER's tasks is scored. */
export interface Scoring {
  /** The most tokens of a reply. */
  readonly budget: number;
  /** Whether all references are due, or any one. */
  readonly match: "all" | "any";
  /** How every answer prefix of the task begins: there RULER divides an input from it. */
  readonly prefixBegins: string;
}

/** RULER's budgets and metrics (`data/synthetic/constants.py`, `eval/synthetic/constants.py`). */
const SCORING = {
  niah: { budget: 128, match: "all", prefixBegins: " The special magic" },
  vt: { budget: 30, match: "all", prefixBegins: " Answer: According" },
  cwe: { budget: 120, match: "all", prefixBegins: " Answer: The top 10" },
  fwe: { budget: 50, match: "all", prefixBegins: " Answer: According" },
  qa: { budget: 32, match: "any", prefixBegins: " Answer:" },
} as const satisfies Record<string, Scoring>;

/** How a task is scored. */
export function scoringOf(name: string): Scoring {
  return SCORING[name.split("_")[0] as keyof typeof SCORING];
}
