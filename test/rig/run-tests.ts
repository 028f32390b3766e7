/**
 * The tests, compiled once and then run by tap under plain node: under a loader each of the 125 files would take two seconds of
 * the processor before its first assertion.
 *
 *     npm run tap -- [OPTION...] [test/core/hub/one-batch.test.ts | test/core...]
 *
 * A folder, and no word at all, means whatever ends in `.test.ts` under it.
 */
import { spawnSync } from 'node:child_process';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileTree } from './compile-tree.ts';
import { compiledIn, TREE_VARIABLE } from './tree-layout.ts';

const WITHOUT_LOADER = join(import.meta.dirname, 'without-tap-loader.mjs');

const tree = compileTree();
const given = process.argv.slice(2);
const isTest = (word: string): boolean => /^(\.\/)?test(\/|$)/.test(word);
const place = (named: string): string =>
  compiledIn(relative(process.cwd(), tree), named.endsWith('.ts') ? named : join(named, '**/*.test.ts'));
const words = given.map((word) => (isTest(word) ? place(word) : word));
const tests = given.some(isTest) ? [] : [place('test')];
const options = `${process.env['NODE_OPTIONS'] ?? ''} --import=${pathToFileURL(WITHOUT_LOADER).href}`;
const env = { ...process.env, [TREE_VARIABLE]: tree, NODE_OPTIONS: options.trim() };
const { status, signal } = spawnSync('tap', [...words, ...tests], { stdio: 'inherit', env });
if (signal !== null) process.kill(process.pid, signal);
process.exitCode = status ?? 1;
