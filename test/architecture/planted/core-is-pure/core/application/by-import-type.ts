export type Target = import('../../adapters/planted-for-core/target.ts').Target;
