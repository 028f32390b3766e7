/**
 * `npm run api` compares what the entries of the package export with the reports in test/packed/api, `npm run api -- --write` makes
 * these anew. A report is part of the commit that changes what users of the package see.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../architecture/cruise.ts';
import { apiReports, REPORTS } from './api-report.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'agentcom-api-')));
try {
  copyFileSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const args = [tsc, '-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(folder, 'dist')];
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) throw new Error('The declarations could not be built.');
  for (const { entry, file, text } of apiReports(folder)) {
    const path = join(REPORTS, file);
    if (existsSync(path) && readFileSync(path, 'utf8') === text) continue;
    if (process.argv.includes('--write')) writeFileSync(path, text);
    else process.exitCode = 1;
    process.stdout.write(`${entry}: ${process.exitCode === 1 ? 'differs from' : 'written to'} test/packed/api/${file}\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
