"""The hook DAG: declaration, order, execution, what each hook changed. Knows no provider and no proxy."""
