// tap registers a loader in each process, which notes its files for coverage and `--changed`. Neither is asked for here, and
// beside a loader the 125 files would take a minute of the processor more.
import Module from 'node:module';

const register = Module.register;
Module.register = (specifier, options, ...more) => {
  if (String(options?.parentURL).includes('/@tapjs/processinfo/')) return;
  register.call(Module, specifier, options, ...more);
};
