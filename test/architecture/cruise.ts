/** Runs dependency-cruiser as `npm run arch` does, and reads its report. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

/** The root of this tree. */
export const ROOT = path.resolve(import.meta.dirname, '../..');

const BINARY = path.join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
/** The report of a tree of this size has some MiB. */
const REPORT_BYTES_MAX = 256 * 1024 * 1024;

export interface Violation {
  /** Relative to the cruised tree. */
  readonly from: string;
  readonly to: string;
  readonly rule: string;
}
export interface Cruised {
  readonly modules: readonly string[];
  readonly violations: readonly Violation[];
}

interface Report {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: { readonly violations: readonly { from: string; to: string; rule: { name: string } }[] };
}

/** The arguments of the `arch` script after `depcruise`: the tests cruise what the command cruises. */
export function archArguments(): readonly string[] {
  const manifest = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { scripts: { arch: string } };
  const [program, ...words] = manifest.scripts.arch.split(' ');
  if (program !== 'depcruise') throw new Error(`The arch script should run depcruise, but runs "${program ?? ''}".`);
  return words;
}

/** Cruises the tree in `folder`. Violations are in the returned report; output that is not a report throws. */
export async function cruise(folder: string): Promise<Cruised> {
  const words = [BINARY, ...archArguments(), '--output-type', 'json'];
  const { stdout } = await promisify(execFile)(process.execPath, words, { cwd: folder, maxBuffer: REPORT_BYTES_MAX });
  const report = JSON.parse(stdout) as Report;
  return {
    modules: report.modules.map((module) => module.source),
    violations: report.summary.violations.map(({ from, to, rule }) => ({ from, to, rule: rule.name })),
  };
}
