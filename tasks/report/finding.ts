import {
  type Check,
  Evidence,
  type Finding,
  FINDINGS,
  together,
  type Verdict,
} from "../experiments/findings/mod.ts";
import type { Row } from "../sweep/rows.ts";
import { escape } from "./html.ts";

/** A claim with what a sweep's results say of it. */
export interface JudgedFinding {
  /** The claim. */
  readonly finding: Finding;
  /** What all parts say together. */
  readonly verdict: Verdict;
  /** The parts. */
  readonly checks: readonly Check[];
  /** What is seen besides. */
  readonly besides: readonly Check[];
}

/**
 * The claim that results are of: those of a sweep `finding-N`, as its folder is called, whose models
 * are among that finding's.
 */
export function judgeFinding(run: string, rows: readonly Row[]): JudgedFinding | undefined {
  const finding = FINDINGS.find(({ name }) => new RegExp(`(^|/)${name}(-\\d+)?$`).test(run));
  const variants = finding?.configuration.trainings?.map(({ recipe }) => recipe.name);
  if (finding === undefined || !rows.every(({ model }) => variants!.includes(model))) {
    return undefined;
  }
  const evidence = new Evidence(rows);
  const checks = finding.check(evidence);
  return { finding, verdict: together(checks), checks, besides: finding.besides?.(evidence) ?? [] };
}

/** A judged claim as lines of text. */
export function findingLines({ finding, verdict, checks, besides }: JudgedFinding): string[] {
  const line = ({ says, verdict }: Check): string => `  ${verdict}: ${says}`;
  return [
    `${finding.name}: ${finding.claim}`,
    `verdict: ${verdict}`,
    ...checks.map(line),
    ...(besides.length === 0 ? [] : ["besides", ...besides.map(line)]),
  ];
}

/** A judged claim as the report shows it. */
export function findingText({ finding, verdict, checks, besides }: JudgedFinding): string {
  const list = (parts: readonly Check[]): string =>
    `<ul>${
      parts.map(({ says, verdict }) => `<li>${escape(verdict)}: ${escape(says)}</li>`).join("")
    }</ul>`;
  return `<section id="section-claim"><h2>The claim</h2>
<p>${escape(finding.claim)} <span class="muted">(${escape(finding.source)})</span></p>
<p><strong>Verdict: ${verdict}.</strong> A difference counts where an exact permutation test over the trainings gives 5% or less; a bound, where all trainings keep it, or all of five but one.</p>
${list(checks)}${besides.length === 0 ? "" : `\n<p>Besides:</p>\n${list(besides)}`}
</section>`;
}
