/** Builds the dashboard into `dist/dashboard`, each file also compressed, so that the hub never compresses anything. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const OUT = join(import.meta.dirname, '../../dist/dashboard');

const compressed = (): Plugin => ({
  name: 'compressed',
  closeBundle() {
    for (const name of readdirSync(OUT).filter((file) => !/\.(br|gz)$/.test(file))) {
      const bytes = readFileSync(join(OUT, name));
      const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } });
      const gzip = gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });
      if (brotli.length < bytes.length) writeFileSync(join(OUT, `${name}.br`), brotli);
      if (gzip.length < bytes.length) writeFileSync(join(OUT, `${name}.gz`), gzip);
    }
  },
});

export default defineConfig({
  root: import.meta.dirname,
  base: '/dashboard/',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    modulePreload: { polyfill: false },
    // The page's content security policy allows no inline data except images. Names without hashes keep the links of an open page valid after an
    // update.
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: { output: { entryFileNames: 'app.js', chunkFileNames: '[name].js', assetFileNames: 'app[extname]' } },
  },
  plugins: [compressed()],
});
