import { join } from "@std/path";

/** The files that a user would name, small ones, in a folder of their own. */
export interface RulerFiles extends Disposable {
  /** The folder. */
  readonly folder: string;
  /** As SQuAD 2.0's `dev-v2.0.json`: 60 paragraphs, each with two questions that have an answer. */
  readonly squad: string;
  /** As HotpotQA's `hotpot_dev_distractor_v1.json`: 40 questions, every fourth with yes. */
  readonly hotpotqa: string;
}

/** Writes them. */
export function rulerFiles(): RulerFiles {
  const folder = Deno.makeTempDirSync();
  const write = (name: string, json: unknown): string => {
    const path = join(folder, name);
    Deno.writeTextFileSync(path, JSON.stringify(json));
    return path;
  };
  return {
    folder,
    squad: write("squad.json", squad()),
    hotpotqa: write("hotpotqa.json", hotpotqa()),
    [Symbol.dispose]: () => Deno.removeSync(folder, { recursive: true }),
  };
}

const FILLER = "It is said of it that many came and few stayed, as the roads were long and bad. ";

function squad(): unknown {
  return {
    version: "v2.0",
    data: Array.from({ length: 6 }, (_, article) => ({
      title: `article ${article}`,
      paragraphs: Array.from({ length: 10 }, (_, paragraph) => {
        const name = `town-${article}-${paragraph}`;
        return {
          context: `The mayor of ${name} was keeper-${article}-${paragraph}. ` +
            FILLER.repeat(1 + paragraph % 4),
          qas: [
            ...["Who was the mayor", "Who was in office"].map((who, i) => ({
              question: `${who} of ${name}?`,
              id: `${article} ${paragraph} ${i}`,
              is_impossible: false,
              answers: [
                `keeper-${article}-${paragraph}`,
                `keeper-${article}-${paragraph}`,
                "keeper",
              ]
                .map((text) => ({ text, answer_start: 0 })),
            })),
            { question: `Why is ${name}?`, id: "no", is_impossible: true, answers: [] },
          ],
        };
      }),
    })),
  };
}

function hotpotqa(): unknown {
  return Array.from({ length: 40 }, (_, i) => ({
    _id: String(i),
    question: `What is the river of the birthplace of person ${i}?`,
    answer: i % 4 === 0 ? "yes" : `river-${i}`,
    supporting_facts: [[`Person ${i}`, 0], [`Place ${i}`, 1]],
    context: [
      ...Array.from({ length: 4 }, (_, j) => [`Other ${i} ${j}`, [FILLER, FILLER]]),
      [`Place ${i}`, [`Place ${i} is a place.`, ` Through place ${i} flows river-${i}.`]],
      ...Array.from({ length: 4 }, (_, j) => [`More ${i} ${j}`, [FILLER]]),
      [`Person ${i}`, [`Person ${i} was born in place ${i}.`]],
    ],
  }));
}
