/** What packages export that a check does not come to. */
function absent(): never {
  throw new Error("Cannot use a package from npm here as there is no network: leave out what needs it");
}

export class Template {
  constructor() {
    absent();
  }
}
export class Tokenizer extends Template {}
export class ZipReader extends Template {}
export const create = absent;
export const parseHTML = absent;
export default absent;
