from .cache import cached as cached
from .cohort.features import column_use as column_use
from .cohort.features import missing as missing
from .cohort.loading import load_cohort as load_cohort
from .cohort.loading import problems as problems
from .cohort.loading import require_labels as require_labels
from .cohort.subjects import each as each
