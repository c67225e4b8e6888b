// What the tests of client libraries have in common. Each program tests one library against one server, which
// FULMEN_PORT names. It ends with status 0 if all its tests have passed.
//
// A program asks the Go test that started it to do something to the server by a line on its standard output, "@kill",
// and gets a line back when that is done.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export { assert };
export const port = Number(process.env.FULMEN_PORT);
export const host = '127.0.0.1';

const patienceMs = 100_000; // for anything that must come
const testMs = 200_000;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// ask has the server killed and started again ("kill"), or ended in order and started again ("restart").
export async function ask(what) {
  process.stdout.write(`@${what}\n`);
  const { value, done } = await lines.next();
  assert.equal(done, false, 'nobody answers');
  assert.equal(value, 'done');
}

const tests = [];

// test adds a test; run runs all, one after the other.
export function test(name, body) {
  tests.push({ name, body });
}

export async function run() {
  for (const { name, body } of tests) {
    const began = performance.now();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error('it takes too long')), testMs);
    });
    try {
      await Promise.race([body(), late]);
    } catch (error) {
      console.log(`${name}: FAILED: ${error.stack ?? error}`);
      process.exit(1);
    }
    clearTimeout(timer);
    console.log(`${name}: ok, ${(performance.now() - began).toFixed(0)} ms`);
  }
  console.log(`${tests.length} passed`);
  process.exit(0);
}

// until waits for what must come: until get returns something true, and returns that.
export async function until(what, get) {
  const end = performance.now() + patienceMs;
  for (let waitMs = 1; ; waitMs = Math.min(2 * waitMs, 50)) {
    const got = await get();
    if (got) return got;
    if (performance.now() > end) assert.fail(`waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

// gathered collects messages: add is the listener; next(n) waits for n more and returns them.
export function gathered() {
  const all = [];
  let taken = 0;
  return {
    add: (message) => all.push(message),
    next: async (n) => {
      await until(`${n} messages have come, and there are ${all.length - taken}`, () => all.length >= taken + n);
      taken += n;
      return all.slice(taken - n, taken);
    },
    rest: () => all.slice(taken),
  };
}

export const range = (n) => Array.from({ length: n }, (_, i) => i);
