import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { chatTemplate, loadChatTemplate, type PromptTemplate } from "../../tasks/mod.ts";
import { inFolder } from "../testing.ts";

const LLAMA_3 = [
  "{% set loop_messages = messages %}{% for message in loop_messages %}",
  "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'",
  "+ message['content'] | trim + '<|eot_id|>' %}",
  "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}",
  "{{ content }}{% endfor %}",
  "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
].join("");
const PHI_3 = [
  "{% for message in messages %}{% if message['role'] == 'system' %}",
  "{{ '<|system|>\n' + message['content'] + '<|end|>\n' }}{% elif message['role'] == 'user' %}",
  "{{ '<|user|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}",
  "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
].join("");
const GEMMA = `{{ bos_token }}
{% if messages[0]['role'] == 'system' %}
  {{ raise_exception('System role not supported') }}
{% endif %}
{% for message in messages %}
  {% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{ '<start_of_turn>model\n' }}
{%- endif %}`;

Deno.test("chatTemplate() asks as RULER's own templates of these models do", () => {
  // scripts/data/template.py: meta-llama3 and Phi3.
  const llama = chatTemplate(LLAMA_3, { specialTokens: { bos_token: "<|begin_of_text|>" } });
  assertEquals(
    llama.render("Q?\n", " Answer:"),
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nQ?<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\n Answer:",
  );
  const phi = chatTemplate(PHI_3);
  assertEquals(phi.render("Q?\n", " Answer:"), "<|user|>\nQ?\n<|end|>\n<|assistant|>\n Answer:");
  assertEquals([phi.name, phi.special], ["chat", false]);
});

Deno.test("chatTemplate() leaves out lines of statements, and takes a system turn where it is given one", () => {
  const gemma = chatTemplate(GEMMA, { specialTokens: { bos_token: "<bos>" } });
  // As Python's Jinja with trim_blocks and lstrip_blocks renders it.
  assertEquals(
    gemma.render(" Q? ", " A:"),
    "<bos>\n<start_of_turn>user\nQ?<end_of_turn>\n<start_of_turn>model\n A:",
  );
  assertEquals(
    chatTemplate(PHI_3, { system: "Be brief." }).render("Q?", ""),
    "<|system|>\nBe brief.<|end|>\n<|user|>\nQ?<|end|>\n<|assistant|>\n",
  );
  assertThrows(
    () => chatTemplate(GEMMA, { specialTokens: { bos_token: "<bos>" }, system: "Be brief." }),
    Error,
    "Cannot ask one question in a chat template: System role not supported",
  );
});

Deno.test("chatTemplate() has no date but one, so that a prompt is always the same", () => {
  const dated = chatTemplate(
    "{% if tools is not none %}no{% endif %}{{ strftime_now('%d %b %Y') }} {{ messages[0].content }}",
  );
  assertEquals(dated.render("Q?", ""), "26 Jul 2024 Q?");
});

Deno.test("chatTemplate() refuses what is not a template of a question", () => {
  assertThrows(() => chatTemplate("{% if %}"), Error, "Cannot read a chat template: ");
  assertThrows(() => chatTemplate("Hello"), Error, "current number is 0");
  assertThrows(
    () => chatTemplate("{{ messages[0].content }}{{ messages[0].content }}"),
    Error,
    "must hold the question once: current number is 2",
  );
});

Deno.test("loadChatTemplate() finds the template wherever a checkpoint has it", () =>
  inFolder(async (folder) => {
    const write = (file: string, content: unknown): Promise<void> =>
      Deno.writeTextFile(
        join(folder, file),
        typeof content === "string" ? content : JSON.stringify(content),
      );
    const answer = (template: PromptTemplate | undefined): string | undefined =>
      template?.render("Q?", " A:");
    assertEquals(await loadChatTemplate(folder), undefined);
    const tokens = { bos_token: { content: "<s>", special: true }, eos_token: "</s>" };
    await write("tokenizer_config.json", tokens);
    assertEquals(await loadChatTemplate(folder), undefined);
    const source = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}";
    await write("tokenizer_config.json", { ...tokens, chat_template: source });
    assertEquals(answer(await loadChatTemplate(folder)), "<s>Q?</s> A:");
    const list = [
      { name: "tool_use", template: "no" },
      { name: "default", template: `${source}default` },
    ];
    await write("tokenizer_config.json", { ...tokens, chat_template: list });
    assertEquals(answer(await loadChatTemplate(folder)), "<s>Q?</s>default A:");
    await write("chat_template.jinja", `${source}file`);
    assertEquals(answer(await loadChatTemplate(folder)), "<s>Q?</s>file A:");
    await write("chat_template.jinja", "{% for %}");
    await assertRejects(() => loadChatTemplate(folder), Error, `(of ${folder})`);
    await Deno.remove(join(folder, "chat_template.jinja"));
    await write("tokenizer_config.json", { chat_template: list.slice(0, 1) });
    await assertRejects(() => loadChatTemplate(folder), Error, "that is called default");
    await write("tokenizer_config.json", "{");
    await assertRejects(() => loadChatTemplate(folder), Error, "it is not valid JSON");
  }));
