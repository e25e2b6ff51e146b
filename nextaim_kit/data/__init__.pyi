from .cache import cached as cached
from .cohort import load_cohort as load_cohort
from .cohort import problems as problems
from .cohort import require_labels as require_labels
from .features import column_use as column_use
from .subjects import each as each
