# Every target sets up .venv by itself; a fresh machine needs only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo saved-models test lint bench clean

demo: $(STAMP)
	$(BIN)/tfkd demo --out runs/demo

# Trains the networks of saved_models/ anew.
saved-models: $(STAMP)
	$(BIN)/tfkd demo --out runs/saved_models --seed 0
	cp runs/saved_models/teacher/model.keras saved_models/phantom_teacher.keras
	cp runs/saved_models/distilled_student/model.keras saved_models/phantom_student.keras
	$(BIN)/tfkd export saved_models/phantom_student.keras saved_models/phantom_student_int8.tflite --records runs/saved_models/student_records --quantization int8
	rm -f saved_models/*.config.toml

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv build dist *.egg-info

# constraints.txt locks the versions that were tested together.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $(STAMP)

# The static page that segments in the browser; needs Node and npm.
.PHONY: browser
browser:
	npm ci --prefix browser --ignore-scripts --no-audit --no-fund
	npm run build --prefix browser
