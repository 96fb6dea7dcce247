"""The paper's experiments: folds, rows, tables, figures."""
