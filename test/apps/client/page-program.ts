/** A program for a web page, built as its author would: a bundler takes `agentcom/client` from the installed package. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';
import { builtTree } from '../../rig/built-tree.ts';

/** Throws if anything in it is for Node only. */
export function bundledForBrowser(program: string): string {
  const project = mkdtempSync(join(tmpdir(), 'agentcom-page-'));
  try {
    mkdirSync(join(project, 'node_modules'));
    // As shipped, not the bundled files of most tests: those are for Node.
    symlinkSync(resolve(dirname(builtTree().shippedBin), '../..'), join(project, 'node_modules/agentcom'), 'junction');
    const { outputFiles } = buildSync({
      stdin: { contents: program, resolveDir: project },
      bundle: true,
      format: 'esm',
      platform: 'browser',
      write: false,
      logLevel: 'silent',
    });
    return outputFiles[0]?.text ?? '';
  } finally {
    rmSync(project, { recursive: true });
  }
}
