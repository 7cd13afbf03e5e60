// A Node whose BigInt refuses more than 200 digits.

const maxDigits = 200;
const lax = globalThis.BigInt;

function BigInt(value) {
  if (String(value).length > maxDigits) throw new SyntaxError("too many digits");
  return lax(value);
}
globalThis.BigInt = Object.setPrototypeOf(BigInt, lax);
