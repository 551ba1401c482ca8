/**
 * Text into tokens and back: `tokenizer.json`, RWKV's World vocabulary, and bytes.
 *
 * @module
 */
export { BYTE_TOKENIZER } from "./byte_tokenizer.ts";
export { JsonTokenizer, type JsonTokenizerOptions } from "./json_tokenizer.ts";
export { holdsTokenizer, loadTokenizer } from "./load.ts";
export { type EncodeOptions, StreamingDecoder, type Tokenizer } from "./tokenizer.ts";
export { WorldTokenizer } from "./world_tokenizer.ts";
