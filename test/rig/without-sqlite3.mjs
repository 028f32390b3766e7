// Loaded before a program: makes the package sqlite3 look uninstalled.
import module from 'node:module';

const missing = (specifier) => {
  if (specifier !== 'sqlite3') return;
  throw Object.assign(new Error("Cannot find package 'sqlite3'"), { code: 'ERR_MODULE_NOT_FOUND' });
};

// For `require`.
const resolveFilename = module._resolveFilename;
module._resolveFilename = (specifier, ...rest) => {
  missing(specifier);
  return resolveFilename(specifier, ...rest);
};

// For `import`, on the thread of these hooks.
const hooks = `const missing = ${missing.toString()};
  export function resolve(specifier, context, next) {
    missing(specifier);
    return next(specifier, context);
  }`;
module.register(`data:text/javascript,${encodeURIComponent(hooks)}`);
