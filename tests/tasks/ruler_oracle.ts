/**
 * Answers a prompt of RULER by looking it up in its text, as someone would who knows nothing but what
 * the prompt says. The questions about documents it cannot answer.
 */
export function answerRuler(prompt: string): string {
  // What stands last is asked; before it there may be an example.
  if (prompt.includes("special magic")) return answerNeedle(prompt);
  if (prompt.includes("variable assignment")) return answerVariables(prompt);
  if (prompt.includes("numbered list")) return answerCommon(prompt);
  if (prompt.includes("coded text")) return answerFrequent(prompt);
  throw new Error(`What is asked? ${prompt.slice(-200)}`);
}

function answerNeedle(prompt: string): string {
  const [, query] = prompt.match(
    /\nWhat (?:is|are all) the special magic \w+ for (.+?) mentioned/,
  )!;
  const keys = query.split(/, and |, /);
  const needles = [
    ...prompt.matchAll(/One of the special magic (?:words|numbers|uuids) for (\S+) is: (\S+)\./g),
  ];
  return keys.flatMap((key) => needles.filter(([, of]) => of === key).map(([, , value]) => value))
    .join(", ");
}

function answerVariables(prompt: string): string {
  const asked = prompt.slice(prompt.lastIndexOf("Memorize and track"));
  const [, value] = asked.match(/are assigned the value (\d+) in the text above/)!;
  const assigned = new Map([...asked.matchAll(/VAR (\w+) = (?:VAR )?(\w+)/g)]
    .map(([, variable, to]) => [variable, to]));
  const valueOf = (name: string): string => {
    const to = assigned.get(name);
    return to === undefined ? name : valueOf(to);
  };
  return [...assigned.keys()].filter((variable) => valueOf(variable) === value).join(" ");
}

function answerCommon(prompt: string): string {
  const asked = prompt.slice(prompt.lastIndexOf("Below is a numbered list"));
  const words = [...asked.split("\n")[1].matchAll(/\d+\. (\w+)/g)].map(([, word]) => word);
  return mostFrequent(words, 10).join(" ");
}

function answerFrequent(prompt: string): string {
  const [, text] = prompt.match(/Find the three most frequently appeared coded words\. (.*)\n/)!;
  return mostFrequent(text.split(" ").filter((word) => word !== "..."), 3).join(" ");
}

function mostFrequent(words: readonly string[], count: number): string[] {
  return [...Map.groupBy(words, (word) => word)]
    .sort(([, a], [, b]) => b.length - a.length)
    .slice(0, count)
    .map(([word]) => word);
}
