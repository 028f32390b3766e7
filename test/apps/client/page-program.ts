/** A program for a web page, built as its author would: a bundler takes `agentcom/client` from the installed package. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { builtTree } from '../../rig/built-tree.ts';

/** Throws if anything in it is for Node only. */
export function bundledForBrowser(program: string): string {
  const project = mkdtempSync(join(tmpdir(), 'agentcom-page-'));
  try {
    builtTree().installIn(project);
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
