/**
 * `npm run api` compares what the entries of the package export with the reports in test/packed/api and the pages in
 * docs/api; `npm run api -- --write` regenerates both. Commit them with the change that users of the package see.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { ROOT } from '../architecture/cruise.ts';
import { generatedApi } from './generated-api.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agentcom-api-')));
try {
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--outDir', join(folder, 'dist')];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) throw new Error('The declarations could not be built.');
  for (const { file, text } of await generatedApi(folder)) {
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    if (process.argv.includes('--write')) writeFileSync(file, text);
    else process.exitCode = 1;
    process.stdout.write(`${relative(ROOT, file)} ${process.exitCode === 1 ? 'is out of date' : 'was written'}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
