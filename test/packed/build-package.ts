/** Part of `npm run build`: the JavaScript of `dist`, and the licenses of the packages that are in it. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../architecture/cruise.ts';
import { bundle, ENTRIES } from './bundle.ts';

const DIST = join(ROOT, 'dist');
/** The program that a contract suite starts: next to the code that starts it. */
const FAKE_AGENT = { source: 'test/product/contracts/runner/fake-agent.sh', built: 'test/product/fake-agent.sh' };

const { inputs } = bundle({ entries: Object.fromEntries(ENTRIES.map((entry) => [entry, join(ROOT, `${entry}.ts`)])), outdir: DIST });
copyFileSync(join(ROOT, FAKE_AGENT.source), join(DIST, FAKE_AGENT.built));

const packages = new Set(Object.keys(inputs).flatMap((input) => /^(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1] ?? []));
writeFileSync(join(DIST, 'third-party-licenses.txt'), [...packages].sort().map(licenseOf).join('\n'));

/** Fails if it has none. */
function licenseOf(folder: string): string {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')) as Readonly<Record<string, string>>;
  const file = readdirSync(join(ROOT, folder)).find((one) => /^licen[cs]e/i.test(one));
  if (file === undefined) throw new Error(`${folder} has no license that could be shipped.`);
  return `${name} ${version}\n\n${readFileSync(join(ROOT, folder, file), 'utf8').trim()}\n`;
}
