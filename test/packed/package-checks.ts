/** What package checkers report about ours. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { publint, type Message } from 'publint';
import { formatMessage } from 'publint/utils';
import type { Test } from 'tap';
import { shell } from '../apps/pages/newcomer.ts';
import { ROOT } from '../architecture/cruise.ts';
import { PAGES } from './api-page.ts';
import { REPORTS } from './api-report.ts';
import { generatedApi } from './generated-api.ts';
import { json } from './installed.ts';

/** The installed package with all its dependencies, without optional packages: total bytes. Measured: 18.0 MB. */
const INSTALLED_BYTES_MAX = 20_000_000;
/** The packed file, in bytes. Measured: 1.7 MB. */
const PACKED_BYTES_MAX = 2_000_000;
/** Packages that npm installs, including ours. Measured: 62. */
const PACKAGES_MAX = 63;

/** What publint reports and is intended: each example is a package of its own, to be copied, and names its exports. */
const isIgnored = (message: Message): boolean =>
  message.code === 'NESTED_PACKAGE_JSON_FIELD_IGNORED' && message.args.filePath.startsWith('./examples/');

export async function passesPublint(t: Test, tarball: string): Promise<void> {
  const content = await readFile(tarball);
  const { messages, pkg } = await publint({ pack: { tarball: new Uint8Array(content).buffer }, strict: true });
  t.equal(pkg?.['name'], 'agentcom');
  const wrong = messages.filter((message) => !isIgnored(message));
  t.strictSame(
    wrong.map((message) => `${message.code}: ${formatMessage(message, pkg ?? {})}`),
    [],
  );
}

export async function entriesResolve(t: Test, tarball: string): Promise<void> {
  // The package is an ES module. Older resolutions know no `exports`; `require` of an ES module works in every Node that we support.
  const { code, out, err } = await shell(`node_modules/.bin/attw ${tarball} --profile esm-only --no-emoji`, { cwd: ROOT });
  t.equal(code, 0, `${out}${err}`);
  const { exports } = await json<{ exports: Record<string, unknown> }>(join(ROOT, 'package.json'));
  for (const path of Object.keys(exports)) t.ok(out.includes(`"${path.replace(/^\./, 'agentcom')}"`), `${path} was checked`);
}

/** The API reports and the pages of docs/api. */
export async function apiIsReported(t: Test, folder: string): Promise<void> {
  const generated = await generatedApi(realpathSync(join(folder, 'node_modules/agentcom')));
  for (const kept of [REPORTS, PAGES]) {
    const files = generated.filter(({ file }) => dirname(file) === kept).map(({ file }) => basename(file));
    t.strictSame(readdirSync(kept).sort(), files.sort(), `${relative(ROOT, kept)} has a file for each entry`);
  }
  for (const { file, text } of generated) {
    const name = relative(ROOT, file);
    t.equal(
      text,
      readFileSync(file, 'utf8'),
      `${name}: if it is meant to change, run "npm run api -- --write" and record it in the changelog`,
    );
  }
}

export async function isSmall(t: Test, folder: string, tarball: string): Promise<void> {
  const { packages } = await json<{ packages: Record<string, unknown> }>(join(folder, 'node_modules/.package-lock.json'));
  const installed = Object.keys(packages);
  const place = realpathSync(join(folder, 'node_modules'));
  // Node 24 also enters linked folders, which are the tests' own packages.
  const files = readdirSync(place, { recursive: true, withFileTypes: true }).filter(
    (file) => file.isFile() && realpathSync(file.parentPath) === file.parentPath,
  );
  const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
  t.comment(`${installed.length} packages, ${files.length} files, ${bytes} bytes; packed ${statSync(tarball).size} bytes`);
  t.ok(installed.includes('node_modules/agentcom'));
  t.ok(installed.length <= PACKAGES_MAX, `${installed.length} packages, expected at most ${PACKAGES_MAX}: ${installed.join(' ')}`);
  t.ok(bytes <= INSTALLED_BYTES_MAX, `${bytes} bytes installed, expected at most ${INSTALLED_BYTES_MAX}`);
  t.ok(statSync(tarball).size <= PACKED_BYTES_MAX, `${statSync(tarball).size} bytes packed, expected at most ${PACKED_BYTES_MAX}`);
}
