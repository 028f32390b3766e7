import 'reflect-metadata';

export const wired = true;
